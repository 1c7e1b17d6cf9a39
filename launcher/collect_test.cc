// Outputs with a real boxlaunch, with and without isolation: what stands beside the spool when the
// end is told.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/core/outputs_format.h"
#include "base/core/proc.h"
#include "launcher/process_tree.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

class CollectTest : public ::testing::TestWithParam<IsolationKind> {
 protected:
  void SetUp() override {
    harness_.StartLauncher();
    if (GetParam() == IsolationKind::kBubblewrap &&
        !harness_.client().hello().abilities.bubblewrap.can()) {
      GTEST_SKIP() << harness_.client().hello().abilities.bubblewrap.why_not;
    }
  }

  LaunchSpec Spec(const std::string& id, const std::string& script,
                  std::vector<std::string> patterns) {
    LaunchSpec spec = harness_.Shell(id, script);
    spec.isolation.kind = GetParam();
    spec.outputs = {.patterns = std::move(patterns),
                    .path = Manifest(id),
                    .files_max = 100,
                    .bytes_max = 64 << 20,
                    .timeout_ms = 20'000};
    return spec;
  }

  std::string Manifest(const std::string& id) const {
    return harness_.state_dir() + "/" + id + ".outputs";
  }

  Files Stored(const std::string& id) {
    const auto manifest = base::ParseOutputsManifest(ReadFileOrEmpty(Manifest(id)));
    EXPECT_TRUE(manifest.has_value());
    Files files;
    if (!manifest) return files;
    const std::string data = ReadFileOrEmpty(Manifest(id) + ".data");
    for (const base::CollectedFile& file : manifest->files) {
      files[file.path] = data.substr(file.offset, file.size);
    }
    return files;
  }

  Harness harness_;
};

TEST_P(CollectTest, FilesAreThereWhenTheEndIsTold) {
  const ExitRecord exit = harness_.RunToEnd(
      "a",
      Spec("a", "mkdir d; echo one > d/1; printf two > 2; echo t > /tmp/bk$$; mv /tmp/bk$$ d/t",
           {"d", "2"}));
  EXPECT_EQ(exit.ExitCode(), 0);
  EXPECT_TRUE(exit.outputs_collected);
  EXPECT_EQ(exit.output_files, 3u);
  EXPECT_EQ(exit.output_bytes, 9u);
  EXPECT_EQ(exit.outputs_skipped, 0u);
  EXPECT_EQ(Stored("a"), (Files{{"d/1", "one\n"}, {"d/t", "t\n"}, {"2", "two"}}));
}

TEST_P(CollectTest, AFailedAndAKilledCommandHaveOutputsToo) {
  EXPECT_EQ(harness_.RunToEnd("f", Spec("f", "echo x > out; exit 3", {"out"})).ExitCode(), 3);
  EXPECT_EQ(Stored("f"), (Files{{"out", "x\n"}}));
  EXPECT_EQ(harness_.RunToEnd("k", Spec("k", "echo x > out; kill -9 $$", {"out"})).Signal(),
            SIGKILL);
  EXPECT_EQ(Stored("k"), (Files{{"out", "x\n"}}));
}

TEST_P(CollectTest, OfOneThatRunsTooLongAndIgnoresTerm) {
  LaunchSpec spec = Spec("t", "echo x > out; trap '' TERM; while :; do sleep 0.01; done", {"out"});
  spec.run_timeout_ms = 300;
  spec.grace_ms = 100;
  const ExitRecord exit = harness_.RunToEnd("t", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_EQ(exit.Signal(), SIGKILL);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_EQ(Stored("t"), (Files{{"out", "x\n"}}));
}

TEST_P(CollectTest, WhatIsLeftBehindRunningIsEndedFirst) {
  const ExitRecord exit = harness_.RunToEnd(
      "l", Spec("l",
                "setsid sh -c 'trap \"\" TERM; while :; do echo y >> grows; done' & "
                "while ! [ -s grows ]; do sleep 0.01; done",
                {"grows"}));
  EXPECT_EQ(exit.ExitCode(), 0);
  EXPECT_TRUE(exit.leftovers_killed);
  EXPECT_EQ(Stored("l").size(), 1u);
}

TEST_P(CollectTest, NothingFoundIsSaid) {
  const ExitRecord exit = harness_.RunToEnd("n", Spec("n", "true", {"no/such"}));
  EXPECT_TRUE(exit.outputs_collected);
  EXPECT_EQ(exit.outputs_skipped, 1u);
  EXPECT_EQ(exit.outputs_note, "'no/such': matches nothing");
  EXPECT_TRUE(Stored("n").empty());
}

TEST_P(CollectTest, SecretFilesAreNoOutputs) {
  LaunchSpec spec = Spec("s", "cat secret > /dev/null; echo x > out", {"."});
  spec.files.push_back({.path = "secret", .content = "hidden", .secret = true});
  EXPECT_EQ(harness_.RunToEnd("s", spec).ExitCode(), 0);
  EXPECT_EQ(Stored("s"), (Files{{"out", "x\n"}}));
}

TEST_P(CollectTest, LinksPipesDevicesAndHolesAreLeftOut) {
  const ExitRecord exit = harness_.RunToEnd(
      "h", Spec("h",
                "echo good > good; ln -s /etc/passwd passwd; ln -s / root; mkfifo fifo; "
                "ln -s /proc/1/environ env; truncate -s 1T sparse; mkdir d; chmod 0 d; "
                "mkdir loop; ln -s ../loop loop/loop",
                {"*", "root/etc/passwd", "/proc/1/environ", "/dev/zero", "loop/**/x"}));
  EXPECT_EQ(exit.ExitCode(), 0);
  EXPECT_EQ(Stored("h"), (Files{{"good", "good\n"}}));
  EXPECT_GE(exit.outputs_skipped, 6u);
}

TEST_P(CollectTest, SameBytesForALargeFile) {
  const ExitRecord exit = harness_.RunToEnd(
      "b", Spec("b", "head -c 5000000 /dev/urandom > big; sha256sum < big | cut -c1-64", {"big"}));
  EXPECT_EQ(exit.output_bytes, 5'000'000u);
  const auto manifest = base::ParseOutputsManifest(ReadFileOrEmpty(Manifest("b")));
  ASSERT_TRUE(manifest.has_value());
  std::string hex;
  for (const char byte : manifest->files.at(0).sha256) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(byte));
    hex += digits;
  }
  EXPECT_EQ(harness_.Stdout("b"), hex + "\n");
}

TEST_P(CollectTest, TheLaunchersDeathTakesNothing) {
  harness_.Run("d", Spec("d", "while ! [ -e go ]; do sleep 0.01; done; echo x > out", {"out"}));
  harness_.KillLauncher();
  std::ofstream(harness_.SandboxPath("d") + "/work/go") << "";
  ASSERT_TRUE(WaitUntil([&] { return fs::exists(harness_.SandboxPath("d") + "/exit"); }));
  EXPECT_EQ(Stored("d"), (Files{{"out", "x\n"}}));
  harness_.StartLauncher();
  harness_.Reconnect();
  EXPECT_TRUE(harness_.WaitForEnd("d").outputs_collected);
}

// As the memory limit of a group does it: all at once, init and command.
TEST_P(CollectTest, OfASandboxThatIsKilledAsAWholeTheWorkDirectoryIsLeft) {
  if (GetParam() != IsolationKind::kBubblewrap) GTEST_SKIP() << "there is nobody inside";
  const SandboxInfo info = harness_.Run(
      "o", Spec("o",
                "echo x > out; ln -s /etc/passwd link; mkdir d; echo y > d/y; : > ready; "
                "sleep 60",
                {"out", "link", "/work/d", "/tmp/z", "ready"}));
  ASSERT_TRUE(WaitUntil([&] { return fs::exists(harness_.SandboxPath("o") + "/work/ready"); }));
  KillDescendantsOf(static_cast<pid_t>(info.supervisor_pid));
  const ExitRecord exit = harness_.WaitForEnd("o");
  EXPECT_EQ(exit.ExitCode(), std::nullopt);
  EXPECT_EQ(Stored("o"), (Files{{"out", "x\n"}, {"/work/d/y", "y\n"}, {"ready", ""}}));
  EXPECT_EQ(exit.outputs_skipped, 2u);
}

TEST_P(CollectTest, WithoutOutputsNothingIsMade) {
  LaunchSpec spec = Spec("w", "echo x > out", {});
  EXPECT_FALSE(harness_.RunToEnd("w", spec).outputs_collected);
  EXPECT_FALSE(fs::exists(Manifest("w")));
}

INSTANTIATE_TEST_SUITE_P(Isolation, CollectTest,
                         ::testing::Values(IsolationKind::kNone, IsolationKind::kBubblewrap),
                         [](const auto& info) {
                           return info.param == IsolationKind::kNone ? "None" : "Bubblewrap";
                         });

}  // namespace
}  // namespace boxkeeper::launcher
