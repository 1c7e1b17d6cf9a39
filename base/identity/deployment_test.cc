#include "base/identity/deployment.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "base/testing/faulty_file_system.h"

namespace boxkeeper::base {
namespace {

struct DeploymentTest : testing::Test {
  FaultyFileSystem fs;
  std::unique_ptr<Rng> rng = MakeSeededRng(1);

  absl::StatusOr<std::unique_ptr<Deployment>> Load(std::string id = "",
                                                   std::string state_dir = "/state") {
    return Deployment::LoadOrCreate(fs, *rng, {.state_dir = state_dir, .id = id});
  }
  SandboxId NewSandbox() { return {rng->NewId()}; }
};

TEST_F(DeploymentTest, IsTheSameAfterACrash) {
  auto first = Load();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->id().size(), 26u);
  SandboxId sandbox = NewSandbox();
  fs.Crash(*rng);
  auto second = Load();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->id(), (*first)->id());
  EXPECT_EQ((*second)->Name(sandbox), (*first)->Name(sandbox));
}

TEST_F(DeploymentTest, ACrashAtEachStepOfTheFirstStartIsHarmless) {
  for (uint64_t stop = 0; stop < 16; ++stop) {
    FaultyFileSystem disk;
    disk.StopAfter(stop);
    DeploymentOptions options{.state_dir = "/state"};
    auto first = Deployment::LoadOrCreate(disk, *rng, options);
    disk.Crash(*rng);
    auto second = Deployment::LoadOrCreate(disk, *rng, options);
    ASSERT_TRUE(second.ok()) << stop << ": " << second.status();
    if (first.ok()) EXPECT_EQ((*first)->id(), (*second)->id());
  }
}

TEST_F(DeploymentTest, NamesFitEveryProviderAndProveOwnership) {
  auto deployment = *Load("prod");
  SandboxId sandbox = NewSandbox();
  std::string name = deployment->Name(sandbox);
  EXPECT_EQ(name.size(), 60u);
  EXPECT_TRUE(name.starts_with("bk"));
  for (char c : name) EXPECT_TRUE((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7')) << c;
  Verified verified = deployment->VerifyName(name);
  EXPECT_EQ(verified.kind, Verified::kOurs);
  EXPECT_EQ(verified.sandbox, sandbox);
}

TEST_F(DeploymentTest, NoChangedNameVerifies) {
  auto deployment = *Load("prod");
  std::string name = deployment->Name(NewSandbox());
  for (size_t i = 0; i < name.size(); ++i) {
    for (char c : std::string("abz27")) {
      if (name[i] == c) continue;
      std::string changed = name;
      changed[i] = c;
      EXPECT_NE(deployment->VerifyName(changed).kind, Verified::kOurs) << changed;
    }
  }
  EXPECT_NE(deployment->VerifyName(name.substr(0, 59)).kind, Verified::kOurs);
  EXPECT_NE(deployment->VerifyName(name + "a").kind, Verified::kOurs);
  EXPECT_EQ(deployment->VerifyName("").kind, Verified::kForeign);
  EXPECT_EQ(deployment->VerifyName("bk").kind, Verified::kForeign);
  EXPECT_EQ(deployment->VerifyName("bkpostgres").kind, Verified::kForeign);
}

TEST_F(DeploymentTest, LabelsFitEveryProviderAndProveOwnership) {
  auto deployment = *Load("prod");
  SandboxId sandbox = NewSandbox();
  auto labels = deployment->Labels(sandbox, "dock", 63, INT64_MAX);
  EXPECT_EQ(labels.size(), 6u);
  for (const auto& [label, value] : labels) {
    EXPECT_TRUE(label.starts_with("boxkeeper."));
    EXPECT_LE(value.size(), 63u);
    EXPECT_FALSE(value.empty());
    for (unsigned char c : value) EXPECT_TRUE(std::isalnum(c) || c == '.' || c == '_' || c == '-');
  }
  labels["other"] = "kept by the provider";
  Verified verified = deployment->Verify(labels, "dock");
  EXPECT_EQ(verified.kind, Verified::kOurs);
  EXPECT_EQ(verified.sandbox, sandbox);
  EXPECT_EQ(verified.shard, 63);
  EXPECT_EQ(verified.epoch, INT64_MAX);
}

TEST_F(DeploymentTest, AnyChangedLabelFailsToVerify) {
  auto deployment = *Load("prod");
  auto labels = deployment->Labels(NewSandbox(), "dock", 3, 7);
  EXPECT_EQ(deployment->Verify(labels, "dock2").kind, Verified::kMalformed);
  auto with = [&](const char* label, const std::string& value) {
    auto changed = labels;
    changed[label] = value;
    return deployment->Verify(changed, "dock").kind;
  };
  EXPECT_EQ(with(kLabelSandbox, NewSandbox().ToString()), Verified::kMalformed);
  EXPECT_EQ(with(kLabelSandbox, ""), Verified::kMalformed);
  EXPECT_EQ(with(kLabelShard, "4"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelShard, "03"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelShard, "64"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelShard, "-1"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelEpoch, "8"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelEpoch, "7 "), Verified::kMalformed);
  EXPECT_EQ(with(kLabelEpoch, "99999999999999999999"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelMac, std::string(26, 'a')), Verified::kMalformed);
  EXPECT_EQ(with(kLabelMac, ""), Verified::kMalformed);
  EXPECT_EQ(with(kLabelKid, "other"), Verified::kMalformed);
  EXPECT_EQ(with(kLabelDeployment, "test"), Verified::kForeign);
  EXPECT_EQ(deployment->Verify({}, "dock").kind, Verified::kForeign);
}

TEST_F(DeploymentTest, ABirthIsPartOfWhatIsProved) {
  auto deployment = *Load("prod");
  const Birth birth{.incarnation = 0x00ab, .position = INT64_MAX};
  auto labels = deployment->Labels(NewSandbox(), "dock", 3, 7, birth);
  EXPECT_EQ(labels.at(kLabelBirth), "00000000000000ab.9223372036854775807");
  EXPECT_EQ(deployment->Verify(labels, "dock").birth, birth);
  auto with = [&](const std::string& value) {
    auto changed = labels;
    changed[kLabelBirth] = value;
    return deployment->Verify(changed, "dock").kind;
  };
  EXPECT_EQ(with("00000000000000ab.1"), Verified::kMalformed);
  EXPECT_EQ(with("00000000000000AB.9223372036854775807"), Verified::kMalformed);
  EXPECT_EQ(with("ab.9223372036854775807"), Verified::kMalformed);
  EXPECT_EQ(with("00000000000000ab."), Verified::kMalformed);
  EXPECT_EQ(with(""), Verified::kMalformed);
  labels.erase(kLabelBirth);
  EXPECT_EQ(deployment->Verify(labels, "dock").kind, Verified::kMalformed);
  // Nor can one be given to labels of an older version.
  auto older = deployment->Labels(NewSandbox(), "dock", 3, 7);
  EXPECT_EQ(deployment->Verify(older, "dock").birth, Birth{});
  older[kLabelBirth] = "00000000000000ab.1";
  EXPECT_EQ(deployment->Verify(older, "dock").kind, Verified::kMalformed);
}

TEST_F(DeploymentTest, OneWithTheSameIdButAnotherKeyIsNotOurs) {
  auto ours = *Load("prod", "/a");
  auto theirs = *Load("prod", "/b");
  SandboxId sandbox = NewSandbox();
  EXPECT_EQ(ours->VerifyName(theirs->Name(sandbox)).kind, Verified::kMalformed);
  auto labels = theirs->Labels(sandbox, "dock", 1, 1);
  EXPECT_EQ(ours->Verify(labels, "dock").kind, Verified::kMalformed);
  labels[kLabelKid] = ours->Labels(sandbox, "dock", 1, 1)[kLabelKid];
  EXPECT_EQ(ours->Verify(labels, "dock").kind, Verified::kMalformed);
}

TEST_F(DeploymentTest, TheFirstKeySignsAndAllVerify) {
  auto before = *Load();
  SandboxId sandbox = NewSandbox();
  auto labels = before->Labels(sandbox, "dock", 1, 1);
  std::string name = before->Name(sandbox);
  std::string file = *fs.Content("/state/identity/key");
  fs.SetContent("/state/identity/key", "new " + std::string(64, 'c') + "\n" + file);
  auto after = *Load();
  EXPECT_EQ(after->VerifyName(name).kind, Verified::kOurs);
  EXPECT_EQ(after->Verify(labels, "dock").kind, Verified::kOurs);
  EXPECT_NE(after->Name(sandbox), name);
  EXPECT_EQ(after->Labels(sandbox, "dock", 1, 1)[kLabelKid], "new");
  EXPECT_EQ(before->VerifyName(after->Name(sandbox)).kind, Verified::kMalformed);
}

TEST_F(DeploymentTest, ALostKeyOrAnotherIdIsRefused) {
  ASSERT_TRUE(Load("prod").ok());
  EXPECT_TRUE(Load().ok());  // the id may leave the configuration
  EXPECT_EQ(Load("test").status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(fs.Remove("/state/identity/key").ok());
  EXPECT_EQ(Load("prod").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(*fs.Exists("/state/identity/key"));
}

TEST_F(DeploymentTest, RefusesIdsThatNoLabelCouldHold) {
  for (const std::string& id : {std::string(64, 'a'), std::string("a b"), std::string("-a"),
                                std::string("a."), std::string("a/b"), std::string("ä")}) {
    EXPECT_EQ(Load(id).status().code(), absl::StatusCode::kInvalidArgument) << id;
  }
  fs.SetContent("/state/identity/id", "a b\n");
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace boxkeeper::base
