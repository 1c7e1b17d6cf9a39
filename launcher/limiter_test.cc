#include "launcher/limiter.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace boxkeeper::launcher {
namespace {

// A command that ended by SIGKILL.
ExitRecord Killed() {
  ExitRecord exit;
  exit.kind = EndKind::kExited;
  exit.wait_status = SIGKILL;
  exit.peak_rss_bytes = 1;
  exit.cpu_user_us = 2;
  return exit;
}

TEST(LimiterTest, WithoutGroupsMemoryIsLimitedByProcessAndOthersAreRefused) {
  CgroupLayout none;
  none.cpu.why_not = none.memory.why_not = none.pids.why_not = "no groups";
  Limiter memory;
  std::string error;
  EXPECT_TRUE(memory.Apply({.cpu_millis = 0, .memory_bytes = 4096, .pids = 0, .disk_bytes = 0},
                           none, "x", &error));
  EXPECT_EQ(memory.text(), "memory=rlimit");
  EXPECT_EQ(memory.address_space(), 4096u);
  Limiter all;
  EXPECT_FALSE(all.Apply({.cpu_millis = 1, .memory_bytes = 4096, .pids = 1, .disk_bytes = 0}, none,
                         "x", &error));
  EXPECT_EQ(error,
            "limit cpu cannot be applied: no groups; limit pids cannot be applied: no groups");
  EXPECT_EQ(all.text(), "");
}

TEST(LimiterTest, ACounterThatRoseAndAKillThatWasNotOursAreOutOfMemory) {
  ExitRecord exit = Killed();
  GroupUsage usage;
  usage.oom_kills = 1;
  usage.peak_memory_bytes = 4096;
  AddUsage(usage, /*killed_by_us=*/false, &exit);
  EXPECT_TRUE(exit.oom_killed);
  EXPECT_EQ(exit.peak_rss_bytes, 4096u);
  EXPECT_EQ(exit.cpu_user_us, 2u);
  EXPECT_EQ(exit.error, "");
}

TEST(LimiterTest, AKillOfOursIsNot) {
  ExitRecord exit = Killed();
  GroupUsage usage;
  usage.oom_kills = 1;
  AddUsage(usage, /*killed_by_us=*/true, &exit);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_NE(exit.error, "");
}

TEST(LimiterTest, ACounterThatStayedIsNot) {
  ExitRecord exit = Killed();
  GroupUsage usage;
  usage.oom_kills = 0;
  usage.cpu_user_us = 7;
  usage.cpu_system_us = 8;
  AddUsage(usage, /*killed_by_us=*/false, &exit);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(exit.error, "");
  EXPECT_EQ(exit.peak_rss_bytes, 1u);
  EXPECT_EQ(exit.cpu_user_us, 7u);
}

TEST(LimiterTest, AnExitCodeIsNeverOutOfMemory) {
  ExitRecord exit = Killed();
  exit.wait_status = 137 << 8;
  GroupUsage usage;
  usage.oom_kills = 2;
  AddUsage(usage, /*killed_by_us=*/false, &exit);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(exit.ExitCode(), 137);
  EXPECT_NE(exit.error.find("killed 2"), std::string::npos) << exit.error;
}

}  // namespace
}  // namespace boxkeeper::launcher
