#include "base/fault_points.h"

#include <gtest/gtest.h>

#include "base/testing/armed_fault_points.h"

namespace boxkeeper::base {
namespace {

TEST(FaultPoints, OneMutationAtATime) {
  EXPECT_FALSE(Mutated("a"));
  testing::SetMutation("a");
  EXPECT_TRUE(Mutated("a"));
  EXPECT_FALSE(Mutated("b"));
  testing::SetMutation("");
  EXPECT_FALSE(Mutated("a"));
}

// Each in a process of its own, as the environment is read once.
TEST(FaultPointsDeathTest, DiesTheNthTimeItPasses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto pass = [](const char* armed, int times) {
    setenv("BOXKEEPER_FAILPOINT", armed, 1);
    for (int i = 0; i < times; ++i) Failpoint("commit.before_sync");
    _exit(7);
  };
  EXPECT_EXIT(pass("commit.before_sync", 1), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass("commit.before_sync:3", 3), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass("commit.before_sync:3", 2), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(pass("commit.after_sync", 1), ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace boxkeeper::base
