#include "daemon/core/end_text.h"

#include <gtest/gtest.h>

namespace boxkeeper::daemon {
namespace {

store::v1::TaskStatus Ended(v1::TaskState state, v1::Reason reason, const std::string& message) {
  store::v1::TaskStatus status;
  status.set_state(state);
  status.set_reason(reason);
  status.set_message(message);
  return status;
}

TEST(EndTextTest, ASuccessSaysNothing) {
  auto status = Ended(v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, "");
  status.set_exit_code(0);
  EXPECT_EQ(DescribeEnd(status), "");
}

TEST(EndTextTest, TheProvidersWordsComeFirst) {
  auto status = Ended(v1::TASK_STATE_FAILED, v1::REASON_IMAGE_NOT_FOUND, "no image \"x\"");
  status.set_user_code_started(v1::USER_CODE_STARTED_NO);
  EXPECT_EQ(DescribeEnd(status),
            "FAILED/IMAGE_NOT_FOUND: no image \"x\" (the command was never started)");
}

TEST(EndTextTest, WhatIsKnownOfTheExitIsSaid) {
  auto status = Ended(v1::TASK_STATE_FAILED, v1::REASON_EXIT_CODE, "");
  status.set_exit_code(3);
  status.set_user_code_started(v1::USER_CODE_STARTED_YES);
  EXPECT_EQ(DescribeEnd(status), "FAILED/EXIT_CODE: exited with code 3");
  status = Ended(v1::TASK_STATE_LOST, v1::REASON_SANDBOX_LOST, "");
  status.set_log_incomplete("the sandbox is gone");
  EXPECT_EQ(DescribeEnd(status),
            "LOST/SANDBOX_LOST: its sandbox vanished without saying how it ended (output is "
            "missing: the sandbox is gone)");
  status = Ended(v1::TASK_STATE_CANCELLED, v1::REASON_CANCELLED, "marked failed");
  status.set_signal(15);
  EXPECT_EQ(DescribeEnd(status), "CANCELLED/CANCELLED: marked failed (killed by signal 15)");
}

TEST(EndTextTest, EveryOtherReasonHasWords) {
  for (int number = v1::REASON_EXIT_CODE; v1::Reason_IsValid(number); ++number) {
    const auto reason = static_cast<v1::Reason>(number);
    const std::string text = DescribeEnd(Ended(v1::TASK_STATE_FAILED, reason, ""));
    EXPECT_TRUE(text.starts_with("FAILED/" + ReasonWord(reason) + ": ")) << text;
    EXPECT_GT(text.size(), ("FAILED/" + ReasonWord(reason) + ": ").size() + 5) << text;
  }
}

}  // namespace
}  // namespace boxkeeper::daemon
