// Limits as the kernel enforces them, with a real boxlaunch. What this host has no control groups
// for is skipped, and the skip says why.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/core/proc.h"
#include "launcher/cgroup/group.h"
#include "launcher/cgroup/layout.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class LimitsTest : public ::testing::Test {
 protected:
  void SetUp() override { harness_.StartLauncher(); }
  void TearDown() override { EXPECT_EQ(Groups(), std::vector<std::string>()); }

  const Abilities& abilities() { return harness_.client().hello().abilities; }
  static bool InGroup(const Ability& ability) { return ability.how.starts_with("cgroup"); }

  LaunchSpec Python(const std::string& id, const std::string& text) const {
    return harness_.Spec(
        id, {.kind = CommandKind::kScript, .argv = {}, .text = text, .lang = "python"});
  }

  // This launcher's groups that are there now.
  std::vector<std::string> Groups() {
    struct stat status{};
    stat((harness_.state_dir() + "/launch").c_str(), &status);
    return GroupNames(DetectCgroups(), "boxkeeper-" + std::to_string(status.st_dev) + "-" +
                                           std::to_string(status.st_ino) + "-");
  }

  Harness harness_;
};

constexpr char kEat[] = "a = []\nwhile True: a.append(bytearray(b'x' * 1000000))\n";

TEST_F(LimitsTest, AMemoryBombIsOomKilledAtItsLimit) {
  if (!InGroup(abilities().memory)) GTEST_SKIP() << abilities().memory.why_not;
  LaunchSpec spec = Python("m", kEat);
  spec.limits.memory_bytes = 64 * kMiB;
  const ExitRecord exit = harness_.RunToEnd("m", spec);
  EXPECT_TRUE(exit.oom_killed);
  EXPECT_EQ(exit.Signal(), SIGKILL);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_GE(exit.peak_rss_bytes, 56 * kMiB);
  EXPECT_LE(exit.peak_rss_bytes, 64 * kMiB);
  EXPECT_EQ(harness_.Inspect("m").limits, "memory=" + abilities().memory.how);
}

TEST_F(LimitsTest, TheEndOfASandboxWhoseChildWasOomKilledIsItsOwn) {
  if (abilities().memory.how != "cgroup1") GTEST_SKIP() << "needs cgroup1: version 2 kills all";
  LaunchSpec spec = Python("c", std::string("import os\npid = os.fork()\nif pid == 0:\n"
                                            "  a = []\n"
                                            "  while True: a.append(bytearray(b'x' * 1000000))\n"
                                            "os.waitpid(pid, 0)\nos._exit(3)\n"));
  spec.limits.memory_bytes = 64 * kMiB;
  const ExitRecord exit = harness_.RunToEnd("c", spec);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(exit.ExitCode(), 3);
  EXPECT_NE(exit.error.find("memory limit"), std::string::npos) << exit.error;
}

TEST_F(LimitsTest, AKillThatIsNotTheLimitsIsNoOom) {
  if (!InGroup(abilities().memory)) GTEST_SKIP() << abilities().memory.why_not;
  LaunchSpec spec = harness_.Shell("k", "kill -9 $$");
  spec.limits.memory_bytes = 64 * kMiB;
  const ExitRecord exit = harness_.RunToEnd("k", spec);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(exit.Signal(), SIGKILL);
}

TEST_F(LimitsTest, AForkAboveThePidsLimitFails) {
  if (!InGroup(abilities().pids)) GTEST_SKIP() << abilities().pids.why_not;
  LaunchSpec spec = Python("p",
                           "import os, signal, errno\nn = 1\n"
                           "try:\n  while n < 100:\n    if os.fork() == 0: signal.pause()\n"
                           "    n += 1\nexcept OSError as e: print(n, e.errno == errno.EAGAIN)\n");
  spec.limits.pids = 10;
  const ExitRecord exit = harness_.RunToEnd("p", spec);
  EXPECT_EQ(exit.ExitCode(), 0);
  EXPECT_EQ(harness_.Stdout("p"), "10 True\n");
}

TEST_F(LimitsTest, TheCpuLimitHoldsAndIsCounted) {
  if (!InGroup(abilities().cpu)) GTEST_SKIP() << abilities().cpu.why_not;
  LaunchSpec spec = Python("cpu",
                           "import os, time\nos.fork()\n"
                           "end = time.monotonic() + 2\nwhile time.monotonic() < end: pass\n");
  spec.limits.cpu_millis = 300;
  const ExitRecord exit = harness_.RunToEnd("cpu", spec);
  EXPECT_EQ(exit.ExitCode(), 0);
  const double wall = static_cast<double>(exit.ended_boot_ns - exit.started_boot_ns) / 1e9;
  const double used = static_cast<double>(exit.cpu_user_us + exit.cpu_system_us) / 1e6;
  EXPECT_LE(used, 0.3 * wall * 1.3 + 0.1);
  EXPECT_GE(used, 0.05);
}

TEST_F(LimitsTest, AForkBombWithLimitsIsGoneSoonAfterItsDeadline) {
  if (!InGroup(abilities().pids) || !InGroup(abilities().cpu)) {
    GTEST_SKIP() << abilities().pids.why_not << abilities().cpu.why_not;
  }
  // Throttled hard, so that dying alone would take its processes long; zombies, too.
  LaunchSpec spec = Python("bomb",
                           "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                           "while True:\n  try:\n    if os.fork() == 0:\n"
                           "      if os.fork() == 0: os._exit(0)\n  except OSError: pass\n");
  spec.limits = {.cpu_millis = 100, .memory_bytes = 0, .pids = 100, .disk_bytes = 0};
  spec.run_timeout_ms = 1'000;
  const ExitRecord exit = harness_.RunToEnd("bomb", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_LT(exit.ended_boot_ns - exit.started_boot_ns, 6'000'000'000u);
}

TEST_F(LimitsTest, ALimitThatCannotBeAppliedIsRefused) {
  LaunchSpec spec = harness_.Shell("d", "echo ran");
  spec.limits.disk_bytes = kMiB;
  const ExitRecord exit = harness_.RunToEnd("d", spec);
  EXPECT_EQ(exit.kind, EndKind::kStartFailed);
  EXPECT_EQ(exit.user_code_started, UserCodeStarted::kNo);
  EXPECT_NE(exit.error.find("limit disk"), std::string::npos) << exit.error;
  EXPECT_EQ(harness_.Stdout("d"), "");
}

TEST_F(LimitsTest, EachAbilityIsThereOrSaysWhyNot) {
  for (const Ability& ability : {abilities().cpu, abilities().memory, abilities().pids}) {
    EXPECT_TRUE(ability.can() || !ability.why_not.empty());
  }
}

TEST_F(LimitsTest, AccountsGoOnWithoutTheLauncher) {
  if (!InGroup(abilities().memory)) GTEST_SKIP() << abilities().memory.why_not;
  LaunchSpec spec =
      harness_.Shell("r", "while ! test -e go; do sleep 0.01; done; exec python3 -c \"" +
                              std::string(kEat) + "\"");
  spec.limits.memory_bytes = 64 * kMiB;
  harness_.Run("r", spec);
  harness_.KillLauncher();
  harness_.StartLauncher();
  EXPECT_EQ(harness_.Inspect("r").limits, "memory=" + abilities().memory.how);
  EXPECT_EQ(Groups().size(), 1u);
  std::ofstream(harness_.SandboxPath("r") + "/work/go") << "1";
  const ExitRecord exit = harness_.WaitForEnd("r");
  EXPECT_TRUE(exit.oom_killed);
  EXPECT_GE(exit.peak_rss_bytes, 56 * kMiB);
}

TEST_F(LimitsTest, TheGroupsOfALostSupervisorAreRemoved) {
  if (!InGroup(abilities().pids)) GTEST_SKIP() << abilities().pids.why_not;
  LaunchSpec spec = harness_.Shell("lost", "sleep 1000");
  spec.limits.pids = 10;
  const SandboxInfo info = harness_.Run("lost", spec);
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  EXPECT_EQ(harness_.WaitForEnd("lost").kind, EndKind::kSupervisorLost);
}

// Version 2 as far as any kernel that mounts it has it, with or without controllers.
TEST(Version2Test, AGroupIsKilledCountedAndRemoved) {
  const std::string own = DetectCgroups().own_unified;
  const std::string name = "boxkeeper-test-" + std::to_string(getpid());
  if (own.empty() || mkdir((own + "/" + name).c_str(), 0755) != 0) {
    GTEST_SKIP() << "no cgroups of version 2 to write to";
  }
  CgroupLayout layout;
  layout.cpuacct = {.version = 2, .parent = own, .why_not = ""};
  SandboxGroup group = SandboxGroup::Find(layout, name);
  const pid_t child = fork();
  if (child == 0) {
    std::ofstream(own + "/" + name + "/cgroup.procs") << "0" << std::flush;
    for (;;) pause();
  }
  WaitUntil([&] { return group.Members() == std::vector<pid_t>{child}; });
  EXPECT_TRUE(group.Usage().cpu_user_us && group.Usage().cpu_system_us);
  group.Kill();
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, SIGKILL);
  WaitUntil([&] { return group.Remove(); });
  EXPECT_FALSE(SandboxGroup::Find(layout, name).exists());
}

class IsolatedLimitsTest : public LimitsTest {
 protected:
  void SetUp() override {
    LimitsTest::SetUp();
    for (const Ability& ability : {abilities().bubblewrap, abilities().cpu, abilities().memory,
                                   abilities().pids, abilities().disk}) {
      if (!ability.can() || ability.how == "rlimit") GTEST_SKIP() << ability.why_not;
    }
  }
  LaunchSpec Isolated(LaunchSpec spec) {
    spec.isolation.kind = IsolationKind::kBubblewrap;
    spec.limits = {
        .cpu_millis = 500, .memory_bytes = 128 * kMiB, .pids = 50, .disk_bytes = 32 * kMiB};
    return spec;
  }
};

TEST_F(IsolatedLimitsTest, AMemoryBombIsOomKilled) {
  const ExitRecord exit = harness_.RunToEnd("m", Isolated(Python("m", kEat)));
  EXPECT_TRUE(exit.oom_killed) << exit.error;
  EXPECT_EQ(exit.Signal(), SIGKILL);
  EXPECT_TRUE(exit.tree_fenced);
  const std::string group = abilities().memory.how;
  EXPECT_EQ(harness_.Inspect("m").limits,
            "cpu=" + group + " memory=" + group + " pids=" + group + " disk=tmpfs");
}

TEST_F(IsolatedLimitsTest, AFullDiskIsAnErrorOfTheCommand) {
  LaunchSpec spec = Isolated(
      harness_.Shell("d", "dd if=/dev/zero of=file bs=1M count=100 2>/dev/null; stat -c %s file"));
  const ExitRecord exit = harness_.RunToEnd("d", spec);
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error;
  EXPECT_LE(std::stoull(harness_.Stdout("d")), 32 * kMiB);
}

TEST_F(IsolatedLimitsTest, AForkBombIsGoneSoonAfterItsDeadline) {
  LaunchSpec spec =
      Isolated(Python("b",
                      "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                      "while True:\n  try:\n    if os.fork() == 0:\n"
                      "      if os.fork() == 0: os._exit(0)\n  except OSError: pass\n"));
  spec.run_timeout_ms = 1'000;
  const ExitRecord exit = harness_.RunToEnd("b", spec);
  EXPECT_TRUE(exit.timed_out);
  EXPECT_TRUE(exit.tree_fenced);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_LT(exit.ended_boot_ns - exit.started_boot_ns, 6'000'000'000u);
}

TEST_F(LimitsTest, GroupsThatACommandHasMadeInItsOwnAreRemoved) {
  if (geteuid() != 0 || abilities().pids.how != "cgroup1") GTEST_SKIP() << "needs root, cgroup1";
  const std::string parent = DetectCgroups().pids.parent;
  LaunchSpec spec = harness_.Shell(
      "nest",
      "cd " + parent + "/boxkeeper-*-nest && mkdir -p a/b a/c && echo $$ > a/b/cgroup.procs");
  spec.limits.pids = 10;
  EXPECT_EQ(harness_.RunToEnd("nest", spec).ExitCode(), 0);
}

// As in most containers: the groups can be seen, and not be made.
class ReadOnlyGroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    const std::string script =
        "grep -E ' cgroup2? ' /proc/mounts | while read -r device point rest; "
        "do mount -o remount,bind,ro \"$point\"; done; exec \"$0\" \"$@\"";
    harness_.StartLauncher({}, {"/usr/bin/unshare", "--mount", "/bin/sh", "-c", script});
  }
  Harness harness_;
};

TEST_F(ReadOnlyGroupsTest, OnlyMemoryIsLimitedAndByProcess) {
  const Abilities& abilities = harness_.client().hello().abilities;
  EXPECT_FALSE(abilities.cpu.can());
  EXPECT_FALSE(abilities.pids.can());
  EXPECT_NE(abilities.cpu.why_not.find("read-only"), std::string::npos) << abilities.cpu.why_not;
  EXPECT_EQ(abilities.memory.how, "rlimit");
  LaunchSpec spec = harness_.Shell("m", "ulimit -v; exec python3 -c 'bytearray(1 << 30)'");
  spec.limits.memory_bytes = 512 * kMiB;
  const ExitRecord exit = harness_.RunToEnd("m", spec);
  EXPECT_EQ(harness_.Stdout("m"), "524288\n");
  EXPECT_NE(harness_.Stderr("m").find("MemoryError"), std::string::npos);
  EXPECT_EQ(exit.ExitCode(), 1);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(harness_.Inspect("m").limits, "memory=rlimit");
}

TEST_F(ReadOnlyGroupsTest, ByProcessInIsolationToo) {
  const Ability& ability = harness_.client().hello().abilities.bubblewrap;
  if (!ability.can()) GTEST_SKIP() << ability.why_not;
  LaunchSpec spec = harness_.Shell("i", "ulimit -v");
  spec.isolation.kind = IsolationKind::kBubblewrap;
  spec.limits.memory_bytes = 512 * kMiB;
  const ExitRecord exit = harness_.RunToEnd("i", spec);
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error;
  EXPECT_EQ(harness_.Stdout("i"), "524288\n");
}

TEST_F(ReadOnlyGroupsTest, TheOthersAreRefused) {
  LaunchSpec spec = harness_.Shell("no", "echo ran");
  spec.limits = {.cpu_millis = 500, .memory_bytes = 512 * kMiB, .pids = 10, .disk_bytes = 0};
  const ExitRecord exit = harness_.RunToEnd("no", spec);
  EXPECT_EQ(exit.kind, EndKind::kStartFailed);
  EXPECT_NE(exit.error.find("limit cpu"), std::string::npos) << exit.error;
  EXPECT_NE(exit.error.find("limit pids"), std::string::npos) << exit.error;
  EXPECT_EQ(exit.error.find("limit memory"), std::string::npos) << exit.error;
  EXPECT_EQ(harness_.Stdout("no"), "");
}

// No launcher is its parent, and its processes carry no mark: only the group tells which they are.
TEST_F(LimitsTest, WhatIsInTheGroupsOfALostSupervisorIsKilled) {
  if (!InGroup(abilities().pids)) GTEST_SKIP() << abilities().pids.why_not;
  LaunchSpec spec = harness_.Shell(
      "stray", "env -i setsid sh -c 'echo $$ > pid; sleep 1000' & while :; do sleep 1000; done");
  spec.limits.pids = 10;
  const SandboxInfo info = harness_.Run("stray", spec);
  std::string pid;
  WaitUntil([&] {
    pid = ReadFileOrEmpty(harness_.SandboxPath("stray") + "/work/pid");
    return pid.ends_with('\n');
  });
  harness_.KillLauncher();
  kill(static_cast<pid_t>(info.supervisor_pid), SIGKILL);
  harness_.StartLauncher();
  const ExitRecord exit = harness_.WaitForEnd("stray");
  EXPECT_EQ(exit.kind, EndKind::kSupervisorLost);
  EXPECT_TRUE(ProcessIsGone(std::stoi(pid)));
  // Without isolation a process may have left its groups.
  EXPECT_FALSE(exit.tree_fenced);
  WaitUntil([&] { return Groups().empty(); });
}

}  // namespace
}  // namespace boxkeeper::launcher
