#include "base/fault_points.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

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

TEST(FaultPointsDeathTest, APathCountsEachStepFromTheOneBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto pass = [](const char* armed, std::vector<const char*> names) {
    setenv("BOXKEEPER_FAILPOINT", armed, 1);
    for (const char* name : names) Failpoint(name);
    _exit(7);
  };
  EXPECT_EXIT(pass("a>b", {"b", "a", "b"}), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass("a>b", {"b", "a"}), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(pass("a:2>b:2", {"a", "b", "a", "b"}), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(pass("a:2>b:2", {"a", "b", "a", "b", "b"}), ::testing::KilledBySignal(SIGKILL), "");
}

TEST(FaultPointsDeathTest, OnceIsOverAllProcesses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string file = ::testing::TempDir() + "/fault_points_test.once";
  const auto pass = [&](bool passed_before) {
    unlink(file.c_str());
    if (passed_before) close(open(file.c_str(), O_CREAT | O_WRONLY, 0600));
    setenv("BOXKEEPER_FAILPOINT", "a", 1);
    setenv("BOXKEEPER_FAILPOINT_ONCE", file.c_str(), 1);
    Failpoint("a");
    _exit(7);
  };
  EXPECT_EXIT(pass(false), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
  EXPECT_EXIT(pass(true), ::testing::ExitedWithCode(7), "");
  unlink(file.c_str());
}

}  // namespace
}  // namespace boxkeeper::base
