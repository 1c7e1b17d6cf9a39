// Sandboxes by bubblewrap, with the real boxlaunch. Skipped, with the launcher's reason, where the
// host lets nobody make namespaces.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/core/proc.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class IsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    harness_.StartLauncher();
    const Ability& ability = harness_.client().hello().abilities.bubblewrap;
    if (!ability.can()) GTEST_SKIP() << ability.why_not;
  }

  LaunchSpec Isolated(LaunchSpec spec) {
    spec.isolation.kind = IsolationKind::kBubblewrap;
    return spec;
  }
  LaunchSpec Shell(const std::string& id, const std::string& script) {
    return Isolated(harness_.Shell(id, script));
  }
  std::string OutputOf(const std::string& id, const LaunchSpec& spec) {
    const ExitRecord exit = harness_.RunToEnd(id, spec);
    EXPECT_EQ(exit.ExitCode(), 0) << exit.error << harness_.Stderr(id);
    return harness_.Stdout(id);
  }

  Harness harness_;
};

TEST_F(IsolationTest, ExitCodesAreAttested) {
  for (const int code : {0, 7, 137}) {
    const std::string id = "exit" + std::to_string(code);
    const ExitRecord exit = harness_.RunToEnd(id, Shell(id, "exit " + std::to_string(code)));
    EXPECT_EQ(exit.kind, EndKind::kExited) << exit.error;
    EXPECT_EQ(exit.ExitCode(), code);
    EXPECT_EQ(exit.Signal(), std::nullopt);
    EXPECT_EQ(exit.user_code_started, UserCodeStarted::kYes);
    EXPECT_TRUE(exit.tree_fenced);
    EXPECT_FALSE(exit.leftovers_killed);
    EXPECT_EQ(harness_.Inspect(id).isolation, "bubblewrap");
  }
}

TEST_F(IsolationTest, ASignalIsNotAnExitCode) {
  const ExitRecord exit = harness_.RunToEnd("k", Shell("k", "kill -9 $$"));
  EXPECT_EQ(exit.Signal(), SIGKILL) << exit.error;
  EXPECT_EQ(exit.ExitCode(), std::nullopt);
}

TEST_F(IsolationTest, SeesOnlyItself) {
  const std::string seen =
      OutputOf("see", Shell("see",
                            "cd /proc; echo [0-9]*; ls /; hostname; pwd; cat /proc/1/comm; "
                            "ls /home /root 2>&1; ls -A /work /tmp; env | sort"));
  EXPECT_THAT(seen, HasSubstr("1 2\n"));
  EXPECT_THAT(seen, HasSubstr("sandbox\n"));
  EXPECT_THAT(seen, HasSubstr("cannot access '/root'"));
  EXPECT_THAT(seen, HasSubstr("HOME=/work\n"));
  EXPECT_THAT(seen, ::testing::Not(HasSubstr(harness_.state_dir())));
}

TEST_F(IsolationTest, HasNoRightsLeft) {
  const std::string status =
      OutputOf("caps", Shell("caps", "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid)' /proc/self/status"));
  EXPECT_THAT(status, HasSubstr("CapInh:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("CapPrm:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("CapAmb:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1\n"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2\n"));
  EXPECT_THAT(status, ::testing::Not(HasSubstr("Uid:\t0")));
}

TEST_F(IsolationTest, OnlyThreeDescriptors) {
  EXPECT_EQ(OutputOf("fds", Shell("fds",
                                  "for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12; do "
                                  "test -e /proc/$$/fd/$fd && echo $fd; done; true")),
            "0\n1\n2\n");
}

TEST_F(IsolationTest, AStartThatFailsSaysWhy) {
  LaunchSpec spec = Shell("none", "");
  spec.command = {.kind = CommandKind::kArgv, .argv = {"/no/such"}, .text = {}, .lang = {}};
  ExitRecord exit = harness_.RunToEnd("none", spec);
  EXPECT_EQ(exit.kind, EndKind::kStartFailed);
  EXPECT_EQ(exit.user_code_started, UserCodeStarted::kNo);
  EXPECT_THAT(exit.error, HasSubstr("/no/such"));
  EXPECT_THAT(exit.error, HasSubstr("No such file"));
  spec = Shell("workdir", "true");
  spec.workdir = "/nowhere";
  exit = harness_.RunToEnd("workdir", spec);
  EXPECT_EQ(exit.kind, EndKind::kStartFailed);
  EXPECT_THAT(exit.error, HasSubstr("/nowhere"));
}

TEST_F(IsolationTest, FilesSecretsAndScriptsArrive) {
  LaunchSpec spec = Isolated(harness_.Spec(
      "files", {.kind = CommandKind::kScript,
                .argv = {},
                .text = "cat in/put; stat -c %a in/put key /run/k; cat key /run/k; echo $TOKEN $V",
                .lang = "sh"}));
  spec.files = {
      {"in/put", 0640, "content\n", false}, {"key", 0, "s1\n", true}, {"/run/k", 0, "s2\n", true}};
  spec.env = {{"V", "value"}};
  spec.secret_env = {{"TOKEN", "hunter2"}};
  EXPECT_EQ(OutputOf("files", spec), "content\n640\n400\n400\ns1\ns2\nhunter2 value\n");
  EXPECT_FALSE(fs::exists(harness_.SandboxPath("files") + "/work/key"));
}

TEST_F(IsolationTest, TheRunTimeoutGivesItsGrace) {
  LaunchSpec spec = Shell("grace", "trap 'echo asked; exit 3' TERM; while :; do sleep 0.02; done");
  spec.run_timeout_ms = 200;
  spec.grace_ms = 30'000;
  const ExitRecord exit = harness_.RunToEnd("grace", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_EQ(exit.ExitCode(), 3) << exit.error;
  EXPECT_EQ(harness_.Stdout("grace"), "asked\n");
}

TEST_F(IsolationTest, WhatIgnoresTheStopIsKilled) {
  LaunchSpec spec = Shell("stubborn", "trap '' TERM; echo up; while :; do sleep 0.02; done");
  harness_.Run("stubborn", spec);
  WaitUntil([&] { return harness_.Stdout("stubborn") == "up\n"; });
  harness_.client().Call<SignalReply>(SignalRequest{"stubborn", SignalMode::kStop, 0, 100});
  const ExitRecord exit = harness_.WaitForEnd("stubborn");
  EXPECT_TRUE(exit.stop_requested);
  EXPECT_EQ(exit.Signal(), SIGKILL) << exit.error;
  EXPECT_TRUE(exit.tree_fenced);
}

TEST_F(IsolationTest, ASignalReachesTheCommandOnly) {
  harness_.Run("sig", Shell("sig",
                            "trap 'echo got; exit 0' USR1; echo up; "
                            "while :; do sleep 0.02; done"));
  WaitUntil([&] { return harness_.Stdout("sig") == "up\n"; });
  harness_.client().Call<SignalReply>(SignalRequest{"sig", SignalMode::kSend, SIGUSR1, 0});
  EXPECT_EQ(harness_.WaitForEnd("sig").ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("sig"), "up\ngot\n");
}

TEST_F(IsolationTest, LeftoversAreEnded) {
  const ExitRecord exit =
      harness_.RunToEnd("left", Shell("left", "setsid sleep 1000 & setsid sleep 1000 & exit 4"));
  EXPECT_EQ(exit.ExitCode(), 4) << exit.error;
  EXPECT_TRUE(exit.leftovers_killed);
  EXPECT_TRUE(exit.tree_fenced);
}

TEST_F(IsolationTest, KilledFromOutsideIsLostAndGone) {
  const SandboxInfo info = harness_.Run("out", Shell("out", "sleep 1000"));
  // The init is the command's parent.
  const auto stat = base::ReadProcStat(static_cast<pid_t>(info.command_pid));
  ASSERT_TRUE(stat.has_value());
  kill(stat->parent, SIGKILL);
  const ExitRecord exit = harness_.WaitForEnd("out");
  EXPECT_EQ(exit.kind, EndKind::kSupervisorLost);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_TRUE(ProcessIsGone(static_cast<pid_t>(info.command_pid)));
}

TEST_F(IsolationTest, ADeadSupervisorTakesItAlong) {
  const SandboxInfo info = harness_.Run("super", Shell("super", "sleep 1000"));
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  const ExitRecord exit = harness_.WaitForEnd("super");
  EXPECT_EQ(exit.kind, EndKind::kSupervisorLost);
  WaitUntil([&] { return ProcessIsGone(static_cast<pid_t>(info.command_pid)); });
}

TEST_F(IsolationTest, DiesWithItsSupervisorThoughNoLauncherLooks) {
  const SandboxInfo info = harness_.Run("alone", Shell("alone", "trap '' TERM HUP; sleep 1000"));
  harness_.KillLauncher();
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  EXPECT_TRUE(WaitUntil([&] { return ProcessIsGone(static_cast<pid_t>(info.command_pid)); }));
}

TEST_F(IsolationTest, OutlivesTheLauncher) {
  harness_.Run("live", Shell("live", "while ! test -e go; do sleep 0.02; done; exit 5"));
  harness_.KillLauncher();
  harness_.Reconnect();
  harness_.StartLauncher();
  std::ofstream(harness_.SandboxPath("live") + "/work/go") << "";
  const ExitRecord exit = harness_.WaitForEnd("live");
  EXPECT_EQ(exit.ExitCode(), 5) << exit.error;
  EXPECT_EQ(harness_.Inspect("live").isolation, "bubblewrap");
}

TEST_F(IsolationTest, ItsEtcOutlivesTheLauncher) {
  harness_.Run("live", Shell("live",
                             "while ! test -e go; do sleep 0.02; done; "
                             "cat /etc/passwd"));
  harness_.KillLauncher();
  harness_.Reconnect();
  harness_.StartLauncher();
  std::ofstream(harness_.SandboxPath("live") + "/work/go") << "";
  const ExitRecord exit = harness_.WaitForEnd("live");
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error;
  EXPECT_NE(harness_.Stdout("live").find("nobody"), std::string::npos) << harness_.Stderr("live");
}

TEST_F(IsolationTest, FilesOfEarlierLaunchersGoWhenNothingRuns) {
  const std::string folder =
      std::filesystem::path(harness_.SandboxPath("live")).parent_path().parent_path().string() +
      "/isolation";
  const auto generations = [&] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      count += entry.path().filename().string().starts_with("files.") ? 1 : 0;
    }
    return count;
  };
  harness_.Run("live", Shell("live", "while ! test -e go; do sleep 0.02; done"));
  harness_.KillLauncher();
  harness_.Reconnect();
  harness_.StartLauncher();
  EXPECT_EQ(harness_.Inspect("live").state, SandboxState::kRunning);
  EXPECT_EQ(generations(), 2);
  std::ofstream(harness_.SandboxPath("live") + "/work/go") << "";
  harness_.WaitForEnd("live");
  harness_.KillLauncher();
  harness_.Reconnect();
  harness_.StartLauncher();
  EXPECT_EQ(harness_.Inspect("live").state, SandboxState::kEnded);
  EXPECT_EQ(generations(), 1);
}

TEST_F(IsolationTest, NetworkIsOffUnlessAsked) {
  EXPECT_EQ(
      OutputOf("net", Shell("net", "ls /sys/class/net 2>/dev/null; cat /proc/net/dev | wc -l")),
      "3\n");  // two lines of header, and lo
  LaunchSpec spec = Shell("host", "readlink /proc/self/ns/net");
  spec.isolation.host_network = true;
  char own[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/net", own, sizeof(own) - 1), 0);
  EXPECT_EQ(OutputOf("host", spec), std::string(own) + "\n");
}

TEST_F(IsolationTest, VolumesAreSeenAndLinksDoNotLeadOut) {
  const std::string data = harness_.state_dir() + "/../data";
  fs::create_directories(data + "/inner");
  fs::permissions(data + "/inner", fs::perms::all);
  std::ofstream(data + "/inner/file") << "shared\n";
  const std::string root = fs::canonical(data).string();
  LaunchSpec spec =
      Shell("vol", "cat /mnt/deep/er/file; echo new > /out/made; : > /mnt/deep/er/no");
  spec.isolation.volumes = {{root + "/inner", "/mnt/deep/er", true, root},
                            {root + "/inner", "/out", false, root}};
  const ExitRecord exit = harness_.RunToEnd("vol", spec);
  EXPECT_NE(exit.ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("vol"), "shared\n");
  EXPECT_THAT(harness_.Stderr("vol"), HasSubstr("Read-only file system"));
  EXPECT_EQ(ReadFileOrEmpty(root + "/inner/made"), "new\n");
  fs::create_symlink("/etc", root + "/way_out");
  spec = Shell("link", "true");
  spec.isolation.volumes = {{root + "/way_out", "/mnt", true, root}};
  const ExitRecord refused = harness_.RunToEnd("link", spec);
  EXPECT_EQ(refused.kind, EndKind::kStartFailed);
  EXPECT_THAT(refused.error, HasSubstr("leads out"));
}

TEST_F(IsolationTest, TheDiskLimitHoldsForAllThatIsWritable) {
  LaunchSpec spec =
      Shell("disk", "head -c 3000000 /dev/zero > a; head -c 3000000 /dev/zero > /tmp/b");
  spec.limits.disk_bytes = 4 << 20;
  const ExitRecord exit = harness_.RunToEnd("disk", spec);
  EXPECT_NE(exit.ExitCode(), 0);
  EXPECT_THAT(harness_.Stderr("disk"), HasSubstr("No space left"));
}

}  // namespace
}  // namespace boxkeeper::launcher
