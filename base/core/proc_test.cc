#include "base/core/proc.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/core/unique_fd.h"

namespace boxkeeper::base {
namespace {

// A child that waits to be killed.
class ProcTest : public ::testing::Test {
 protected:
  ProcTest() : child_(fork()) {
    if (child_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  ~ProcTest() override {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  const pid_t child_;
};

TEST_F(ProcTest, NamesAProcessByPidAndStart) {
  const auto stat = ReadProcStat(child_);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->parent, getpid());
  EXPECT_EQ(stat->name, "proc_test");
  EXPECT_EQ(stat->session, getsid(0));
  EXPECT_TRUE(UniqueFd(OpenProcess(child_, stat->start_ticks)).valid());
  EXPECT_FALSE(UniqueFd(OpenProcess(child_, stat->start_ticks + 1)).valid());
}

TEST_F(ProcTest, FindsChildren) {
  const auto children = ChildrenOf(getpid());
  EXPECT_NE(std::find(children.begin(), children.end(), child_), children.end());
  EXPECT_TRUE(ChildrenOf(child_).empty());
}

TEST_F(ProcTest, SignalsThroughAPidfd) {
  const UniqueFd pidfd(PidfdOpen(child_));
  EXPECT_EQ(PidfdSignal(pidfd.get(), SIGKILL), 0);
  ASSERT_EQ(waitpid(child_, nullptr, 0), child_);
  EXPECT_EQ(PidfdSignal(pidfd.get(), SIGKILL), ESRCH);
  EXPECT_FALSE(ReadProcStat(child_));
}

TEST(ProcSelfTest, ReadsTheEnvironmentOfTheStart) {
  const std::string path = "PATH=" + std::string(getenv("PATH"));
  EXPECT_TRUE(EnvironmentHas(getpid(), path));
  EXPECT_FALSE(EnvironmentHas(getpid(), path + "x"));
  EXPECT_FALSE(EnvironmentHas(getpid(), "ATH=" + std::string(getenv("PATH"))));
}

TEST(ProcSelfTest, ClocksAndBootIdAreThere) {
  EXPECT_EQ(BootId().size(), 36u);
  EXPECT_GT(UnixNs(), 1'600'000'000'000'000'000u);
  const uint64_t before = BootNs();
  EXPECT_LE(before, BootNs());
}

}  // namespace
}  // namespace boxkeeper::base
