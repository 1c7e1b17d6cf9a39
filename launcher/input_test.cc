// What a command finds: files whose content lies in blobs on the host, and its standard input; as
// an ordinary process and in a sandbox of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/core/sha256.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class InputTest : public ::testing::TestWithParam<IsolationKind> {
 protected:
  void SetUp() override {
    harness_.StartLauncher();
    const Ability& ability = harness_.client().hello().abilities.bubblewrap;
    if (GetParam() == IsolationKind::kBubblewrap && !ability.can()) {
      GTEST_SKIP() << ability.why_not;
    }
  }

  LaunchSpec Shell(const std::string& id, const std::string& script) {
    LaunchSpec spec = harness_.Shell(id, script);
    spec.isolation.kind = GetParam();
    return spec;
  }
  // A file of a task with `content` in a blob, which only its owner may read.
  LaunchFile Blob(const std::string& path, const std::string& content) {
    const std::string blob = harness_.state_dir() + "/blob" + std::to_string(blobs_++);
    std::ofstream(blob, std::ios::binary) << content;
    fs::permissions(blob, fs::perms::owner_read);
    base::CoreSha256 sum;
    sum.Add(content);
    return {.path = path, .blob_path = blob, .blob_sha256 = sum.Finish()};
  }
  std::string OutputOf(const std::string& id, const LaunchSpec& spec) {
    const ExitRecord exit = harness_.RunToEnd(id, spec);
    EXPECT_EQ(exit.ExitCode(), 0) << exit.error << harness_.Stderr(id);
    return harness_.Stdout(id);
  }
  void ExpectNotStarted(const std::string& id, const LaunchSpec& spec, const std::string& why) {
    const ExitRecord exit = harness_.RunToEnd(id, spec);
    EXPECT_EQ(exit.kind, EndKind::kStartFailed);
    EXPECT_EQ(exit.user_code_started, UserCodeStarted::kNo);
    EXPECT_THAT(exit.error, HasSubstr(why));
  }

  Harness harness_;
  int blobs_ = 0;
};

std::string Many() {
  std::string many;
  for (int i = 0; i < 200'000; ++i) many += std::to_string(i);
  return many;
}

TEST_P(InputTest, FilesComeFromBlobsAmongOthers) {
  LaunchSpec spec = Shell("b", "cat one in/two three; stat -c %a one in/two; wc -c < big");
  spec.files = {Blob("one", "1\n"),
                {.path = "in/two", .content = "2\n"},
                Blob("three", "3\n"),
                Blob("big", Many())};
  spec.files[0].mode = 0640;
  EXPECT_EQ(OutputOf("b", spec), "1\n2\n3\n640\n644\n" + std::to_string(Many().size()) + "\n");
}

TEST_P(InputTest, ADamagedBlobIsNotHandedOut) {
  LaunchSpec spec = Shell("d", "echo ran");
  spec.files = {Blob("f", "content")};
  fs::permissions(spec.files[0].blob_path, fs::perms::owner_all);
  std::ofstream(spec.files[0].blob_path) << "Content";
  ExpectNotStarted("d", spec, "file 'f': its blob on the daemon's host is damaged");
  EXPECT_THAT(harness_.Stdout("d"), Not(HasSubstr("ran")));
}

TEST_P(InputTest, ABlobThatIsMissingOrNoFileIsSaid) {
  LaunchSpec spec = Shell("m", "true");
  spec.files = {Blob("f", "content")};
  fs::remove(spec.files[0].blob_path);
  ExpectNotStarted("m", spec, "file 'f': its blob on the daemon's host: No such file");
  ASSERT_EQ(mkfifo(spec.files[0].blob_path.c_str(), 0600), 0);
  spec = Shell("p", "true");
  spec.files = {Blob("f", "content")};
  spec.files[0].blob_path = harness_.state_dir() + "/blob0";
  ExpectNotStarted("p", spec, "file 'f': its blob on the daemon's host: Invalid argument");
}

TEST_P(InputTest, NothingOfABlobsDescriptorReachesTheCommand) {
  LaunchSpec spec = Shell("fd", "ls /proc/self/fd | wc -l; ls /proc/1/fd 2>&1 | head -c 0");
  const std::string without = OutputOf("fd", spec);
  spec = Shell("fd2", "ls /proc/self/fd | wc -l");
  for (int i = 0; i < 5; ++i) spec.files.push_back(Blob("f" + std::to_string(i), "x"));
  EXPECT_EQ(OutputOf("fd2", spec), without);
}

TEST_P(InputTest, StandardInputIsAFile) {
  LaunchSpec spec = Shell("in", "read first; echo $first; cat");
  spec.files = {Blob("in/put", "1\n2\n3\n")};
  spec.stdin_path = "in/put";
  EXPECT_EQ(OutputOf("in", spec), "1\n2\n3\n");
  EXPECT_EQ(OutputOf("none", Shell("none", "cat | wc -c")), "0\n");
}

TEST_P(InputTest, StandardInputThatIsNoFileIsSaid) {
  LaunchSpec spec = Shell("x", "true");
  spec.stdin_path = "missing";
  ExpectNotStarted("x", spec, "stdin 'missing': No such file");
  spec = Shell("y", "true");
  spec.stdin_path = "/tmp";
  ExpectNotStarted("y", spec, "stdin '/tmp': is no regular file");
}

INSTANTIATE_TEST_SUITE_P(Kinds, InputTest,
                         ::testing::Values(IsolationKind::kNone, IsolationKind::kBubblewrap),
                         [](const auto& test) {
                           return test.param == IsolationKind::kNone ? std::string("Ordinary")
                                                                     : std::string("Isolated");
                         });

}  // namespace
}  // namespace boxkeeper::launcher
