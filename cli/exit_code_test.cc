#include "cli/exit_code.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

v1::Task Ended(v1::TaskState state, v1::Reason reason) {
  v1::Task task;
  task.set_state(state);
  task.set_reason(reason);
  return task;
}

TEST(ExitCodeTest, PassesTheCommandsOwnCode) {
  v1::Task task = Ended(v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE);
  task.set_exit_code(0);
  EXPECT_EQ(ExitCodeOf(task), 0);
  task = Ended(v1::TASK_STATE_FAILED, v1::REASON_EXIT_CODE);
  task.set_exit_code(7);
  EXPECT_EQ(ExitCodeOf(task), 7);
  task.set_exit_code(256);
  EXPECT_EQ(ExitCodeOf(task), 1);
}

TEST(ExitCodeTest, FailureIsNeverZero) {
  v1::Task task = Ended(v1::TASK_STATE_FAILED, v1::REASON_EXIT_CODE);
  EXPECT_EQ(ExitCodeOf(task), 125);
  task.set_exit_code(0);
  EXPECT_EQ(ExitCodeOf(task), 125);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_FAILED, v1::REASON_SIGNAL)), 125);
}

TEST(ExitCodeTest, SignalsMemoryAndTime) {
  v1::Task task = Ended(v1::TASK_STATE_FAILED, v1::REASON_SIGNAL);
  task.set_signal(15);
  EXPECT_EQ(ExitCodeOf(task), 143);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_FAILED, v1::REASON_OOM)), 137);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_FAILED, v1::REASON_RUN_TIMEOUT)), 124);
}

TEST(ExitCodeTest, TheRestIsOurs) {
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_FAILED, v1::REASON_EXPIRED)), 125);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_FAILED, v1::REASON_IMAGE_NOT_FOUND)), 125);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_LOST, v1::REASON_SANDBOX_LOST)), 125);
  EXPECT_EQ(ExitCodeOf(Ended(v1::TASK_STATE_RUNNING, v1::REASON_UNSPECIFIED)), 125);
  v1::Task cancelled = Ended(v1::TASK_STATE_CANCELLED, v1::REASON_CANCELLED);
  cancelled.set_exit_code(0);
  EXPECT_EQ(ExitCodeOf(cancelled), 125);
}

TEST(ExitCodeTest, EndLineNamesStateAndReason) {
  v1::Task task = Ended(v1::TASK_STATE_FAILED, v1::REASON_RUN_TIMEOUT);
  task.set_message("ran\nlonger");
  EXPECT_EQ(EndLine(task), "FAILED/RUN_TIMEOUT: ran\\nlonger");
  EXPECT_EQ(EndLine(Ended(v1::TASK_STATE_RUNNING, v1::REASON_UNSPECIFIED)), "RUNNING");
}

}  // namespace
}  // namespace boxkeeper::cli
