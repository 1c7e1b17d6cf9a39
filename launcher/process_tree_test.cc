#include "launcher/process_tree.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

class ProcessTreeTest : public ::testing::Test {
 protected:
  ProcessTreeTest() {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe(ready_) != 0) abort();
  }
  ~ProcessTreeTest() override {
    while (waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD) KillDescendants();
    close(ready_[0]);
    close(ready_[1]);
  }

  // A child with `depth` generations below it, each in a session of its own.
  pid_t Fork(int depth) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    setsid();
    if (depth > 0) Fork(depth - 1);
    (void)!write(ready_[1], "x", 1);
    for (;;) pause();
  }
  void AwaitReady(int count) {
    char byte;
    for (int i = 0; i < count; ++i) ASSERT_EQ(read(ready_[0], &byte, 1), 1);
  }

  int ready_[2];
};

TEST_F(ProcessTreeTest, KillsEveryGeneration) {
  Fork(3);
  AwaitReady(4);
  EXPECT_EQ(KillDescendants(), 4);
  // Until there is no child, which for a subreaper means no descendant.
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(KillDescendants(), 0);
}

TEST_F(ProcessTreeTest, SparesAChildAndWhatIsBelowIt) {
  const pid_t spared = Fork(2);
  const pid_t victim = Fork(1);
  AwaitReady(5);
  EXPECT_EQ(KillDescendants({spared}), 2);
  EXPECT_EQ(waitpid(victim, nullptr, 0), victim);
  EXPECT_EQ(base::ChildrenOf(spared).size(), 1u);
  EXPECT_EQ(waitpid(spared, nullptr, WNOHANG), 0);
}

TEST_F(ProcessTreeTest, ASignalWakesWhatIsStopped) {
  const pid_t child = Fork(0);
  AwaitReady(1);
  kill(child, SIGSTOP);
  ASSERT_EQ(waitpid(child, nullptr, WUNTRACED), child);
  EXPECT_EQ(SignalDescendants(SIGTERM), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST_F(ProcessTreeTest, MarkedProcessesAreFoundByTheirEnvironment) {
  const pid_t child = fork();
  if (child == 0) {
    execle("/bin/sleep", "sleep", "1000", nullptr,
           std::vector<const char*>{"BOXKEEPER_SANDBOX=marked-one", nullptr}.data());
    _exit(1);
  }
  const pid_t other = Fork(0);
  AwaitReady(1);
  EXPECT_EQ(KillMarked("marked"), 0);
  while (!base::EnvironmentHas(child, "BOXKEEPER_SANDBOX=marked-one")) {
  }
  EXPECT_EQ(KillMarked("marked-one"), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(waitpid(other, nullptr, WNOHANG), 0);
}

}  // namespace
}  // namespace boxkeeper::launcher
