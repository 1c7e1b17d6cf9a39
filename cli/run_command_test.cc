#include "cli/run_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "absl/synchronization/notification.h"
#include "cli/app.h"
#include "cli/testing/fake_console.h"
#include "cli/testing/fake_server.h"

namespace boxkeeper::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr auto kOut = v1::ReadLogRequest::STDOUT;
constexpr auto kErr = v1::ReadLogRequest::STDERR;

class RunCommandTest : public ::testing::Test {
 protected:
  int Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"--server", server_.address()});
    return RunBoxctl(args, console_.console);
  }

  // Calls `then` once, when the first reader of stdout arrives: the task runs and is followed.
  void WhenFollowed(std::function<void()> then) {
    server_.on_read = [this, then](const v1::ReadLogRequest& request) {
      if (request.stream() == kOut && !followed_.exchange(true)) then();
    };
  }

  FakeServer server_;
  FakeConsole console_;
  std::atomic<bool> followed_ = false;
};

TEST_F(RunCommandTest, PassesOutputAndExitCode) {
  WhenFollowed([&] {
    server_.Print("task-1", kOut, std::string("hello\0\xFF world\n", 14));
    server_.Print("task-1", kErr, "oops\n");
    server_.End("task-1", v1::TASK_STATE_FAILED, v1::REASON_EXIT_CODE, 7);
  });
  EXPECT_EQ(Run({"run", "--", "sh", "-c", "x"}), 7);
  EXPECT_EQ(console_.out(), std::string("hello\0\xFF world\n", 14));
  EXPECT_EQ(console_.err(), "oops\n");
}

TEST_F(RunCommandTest, TakesALeaseUnlessDetached) {
  WhenFollowed([&] { server_.End("task-1", v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0); });
  EXPECT_EQ(Run({"run", "--", "true"}), 0);
  EXPECT_EQ(Run({"run", "--detach", "--", "true"}), 0);
  EXPECT_EQ(console_.out(), "task-2\n");
  auto submits = server_.submits();
  ASSERT_EQ(submits.size(), 2u);
  EXPECT_EQ(submits[0].tasks(0).lease().ttl().seconds(), 60);
  EXPECT_EQ(submits[0].tasks(0).lease().on_lapse(), v1::Lease::CANCEL);
  EXPECT_FALSE(submits[1].tasks(0).has_lease());
}

TEST_F(RunCommandTest, SendsALargeFileBeforeTheTask) {
  const std::string content(3'000'000, 'x');
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/large";
  std::ofstream(path) << content;
  EXPECT_EQ(Run({"submit", "--file", path + ":in/data", "--", "true"}), 0);
  ASSERT_EQ(server_.submits().size(), 1u);
  const v1::TaskFile file = server_.submits()[0].tasks(0).files(0);
  EXPECT_EQ(file.path(), "in/data");
  EXPECT_EQ(file.content(), "");
  EXPECT_EQ(file.blob().size(), 64u);
  EXPECT_EQ(server_.blobs()[file.blob()], content);
  // It is there: it is not sent again.
  EXPECT_EQ(Run({"submit", "--file", path + ":in/data", "--", "true"}), 0);
  EXPECT_EQ(server_.blob_uploads(), 1);
}

TEST_F(RunCommandTest, SendsABlobAgainThatTheDaemonHasLost) {
  console_.console.read_stdin = [] { return std::string(1'000'000, 'y'); };
  int submits = 0;
  server_.on_submit = [&](const v1::TaskSpec& spec) {
    v1::SubmitResult result;
    const bool here = server_.blobs().contains(spec.files(0).blob());
    if (++submits == 1) server_.ForgetBlobs();
    result.set_outcome(here && submits > 1 ? v1::SubmitResult::ACCEPTED
                                           : v1::SubmitResult::REJECTED);
    if (result.outcome() == v1::SubmitResult::REJECTED) {
      result.add_violations()->set_field("files.blob");
    }
    return result;
  };
  EXPECT_EQ(Run({"submit", "--stdin", "-", "--", "cat"}), 0) << console_.err();
  EXPECT_EQ(submits, 2);
  EXPECT_EQ(server_.blob_uploads(), 2);
  const v1::TaskSpec spec = server_.submits()[1].tasks(0);
  EXPECT_EQ(spec.sandbox_override().fields().at("stdin").string_value(), spec.files(0).path());
}

TEST_F(RunCommandTest, RenewsTheLease) {
  std::atomic<int> renewals = 0;
  server_.on_renew = [&] {
    if (++renewals == 3) {
      server_.End("task-1", v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0);
    }
  };
  ConnectionFlags flags;
  flags.server = server_.address();
  Session session(console_.console, Format::kTable, *MakeConnection(flags));
  SubmitFlags submit;
  submit.argv = {"true"};
  EXPECT_EQ(
      cli::Run(session, submit, RunOptions{.raw = false, .lease_ttl = absl::Milliseconds(30)}), 0);
  EXPECT_GE(renewals, 3);
}

TEST_F(RunCommandTest, ResumesALogThatWasCut) {
  server_.CutLogAfter(8);
  WhenFollowed([&] {
    server_.Print("task-1", kOut, "0123456789abcdef\n");
    server_.End("task-1", v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0);
  });
  EXPECT_EQ(Run({"run", "--", "x"}), 0);
  EXPECT_EQ(console_.out(), "0123456789abcdef\n");
}

TEST_F(RunCommandTest, SurvivesARestartOfTheDaemon) {
  absl::Notification half;
  auto write = console_.console.out;
  console_.console.out = [&](std::string_view data) {
    bool written = write(data);
    if (console_.out() == "first half\n" && !half.HasBeenNotified()) half.Notify();
    return written;
  };
  WhenFollowed([&] { server_.Print("task-1", kOut, "first half\n"); });
  std::thread killer([&] {
    half.WaitForNotification();
    server_.Stop();
    server_.Print("task-1", kOut, "second half\n");
    server_.Print("task-1", kErr, "late\n");
    server_.End("task-1", v1::TASK_STATE_FAILED, v1::REASON_EXIT_CODE, 3);
    server_.Start();
  });
  EXPECT_EQ(Run({"run", "--", "x"}), 3);
  killer.join();
  EXPECT_EQ(console_.out(), "first half\nsecond half\n");
  EXPECT_EQ(console_.err(), "late\n");
}

TEST_F(RunCommandTest, GivesUpOnADaemonThatStaysAway) {
  absl::Notification running;
  WhenFollowed([&] { running.Notify(); });
  std::thread killer([&] {
    running.WaitForNotification();
    server_.Stop();
  });
  EXPECT_EQ(Run({"run", "--reconnect-timeout", "100ms", "--", "x"}), 125);
  killer.join();
  EXPECT_THAT(console_.err(), HasSubstr("boxctl: UNAVAILABLE"));
}

TEST_F(RunCommandTest, CtrlCCancelsAndFollowsToTheEnd) {
  WhenFollowed([&] { console_.Interrupt(); });
  server_.on_cancel = [&](const v1::CancelTasksRequest& request) {
    EXPECT_EQ(request.tasks(0).id(), "task-1");
    EXPECT_FALSE(request.force());
    server_.Print("task-1", kOut, "cleaned up\n");
    server_.End("task-1", v1::TASK_STATE_CANCELLED, v1::REASON_CANCELLED);
  };
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_EQ(console_.out(), "cleaned up\n");
  EXPECT_EQ(console_.err(), "boxctl: CANCELLED/CANCELLED: it was cancelled\n");
}

TEST_F(RunCommandTest, SecondCtrlCKills) {
  WhenFollowed([&] { console_.Interrupt(); });
  server_.on_cancel = [&](const v1::CancelTasksRequest& request) {
    if (!request.force()) return console_.Interrupt();
    server_.End("task-1", v1::TASK_STATE_CANCELLED, v1::REASON_CANCELLED);
  };
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_EQ(server_.cancels().size(), 2u);
}

TEST_F(RunCommandTest, ThirdCtrlCStopsWaiting) {
  WhenFollowed([&] { console_.Interrupt(); });
  server_.on_cancel = [&](const v1::CancelTasksRequest&) { console_.Interrupt(); };
  EXPECT_EQ(Run({"run", "--", "x"}), 130);
  EXPECT_THAT(console_.err(), HasSubstr("gave up waiting for task task-1"));
}

TEST_F(RunCommandTest, CancelsWhenNobodyReadsItsOutput) {
  console_.out_limit = 0;
  WhenFollowed([&] { server_.Print("task-1", kOut, "y\n"); });
  server_.on_cancel = [&](const v1::CancelTasksRequest&) {
    server_.End("task-1", v1::TASK_STATE_CANCELLED, v1::REASON_CANCELLED);
  };
  EXPECT_EQ(Run({"run", "--", "yes"}), 125);
  EXPECT_EQ(server_.cancels()[0].reason(), "nobody reads its output");
}

TEST_F(RunCommandTest, EscapesOnlyOnATerminalAndNotWhenRaw) {
  const std::string wild = "\x1b[2Jx\n";
  WhenFollowed([&] {
    server_.Print("task-1", kOut, wild);
    server_.Print("task-1", kErr, wild);
    server_.End("task-1", v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0);
  });
  console_.console.out_is_terminal = true;
  EXPECT_EQ(Run({"run", "--", "x"}), 0);
  EXPECT_EQ(console_.out(), "\\x1b[2Jx\n");
  EXPECT_EQ(console_.err(), wild);
  FakeConsole raw;
  raw.console.out_is_terminal = true;
  EXPECT_EQ(RunBoxctl({"--server", server_.address(), "logs", "--raw", "task-1"}, raw.console), 0);
  EXPECT_EQ(raw.out(), wild);
}

TEST_F(RunCommandTest, MarksWhatTheLimitDropped) {
  WhenFollowed([&] {
    server_.Print("task-1", kOut, "head");
    server_.Drop("task-1", kOut, 1000);
    server_.Print("task-1", kOut, "tail\n");
    server_.End("task-1", v1::TASK_STATE_SUCCEEDED, v1::REASON_EXIT_CODE, 0);
  });
  EXPECT_EQ(Run({"run", "--", "x"}), 0);
  EXPECT_EQ(console_.out(), "head\n[boxkeeper: dropped 1000 bytes]\ntail\n");
}

TEST_F(RunCommandTest, TimeoutAndSignalAndLoss) {
  WhenFollowed([&] { server_.End("task-1", v1::TASK_STATE_FAILED, v1::REASON_RUN_TIMEOUT); });
  EXPECT_EQ(Run({"run", "--", "x"}), 124);
  EXPECT_EQ(console_.err(), "boxctl: FAILED/RUN_TIMEOUT: it ran longer than its timeout\n");
  followed_ = false;
  WhenFollowed([&] { server_.End("task-2", v1::TASK_STATE_LOST, v1::REASON_SANDBOX_LOST); });
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_THAT(
      console_.err(),
      EndsWith("boxctl: LOST/SANDBOX_LOST: its sandbox vanished without saying how it ended\n"));
}

TEST_F(RunCommandTest, RefusalsAre125WithTheirReasonLast) {
  v1::SubmitResult answer;
  server_.on_submit = [&](const v1::TaskSpec&) { return answer; };
  answer.set_outcome(v1::SubmitResult::REJECTED);
  auto* violation = answer.add_violations();
  violation->set_field("sandbox_override.image");
  violation->set_description("the local provider has no images");
  EXPECT_EQ(Run({"run", "--image", "alpine", "--", "x"}), 125);
  EXPECT_EQ(console_.err(),
            "boxctl: INVALID_ARGUMENT/REJECTED: sandbox_override.image: the local provider has no "
            "images\n");
  answer.set_outcome(v1::SubmitResult::ALREADY_LIVE);
  answer.set_id("other");
  answer.set_state(v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_THAT(console_.err(),
              HasSubstr("boxctl: ALREADY_EXISTS/ALREADY_LIVE: task other (RUNNING)"));
  answer.set_outcome(v1::SubmitResult::QUEUE_FULL);
  answer.mutable_retry_after()->set_seconds(2);
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_THAT(console_.err(),
              HasSubstr("  try again in 2s\nboxctl: RESOURCE_EXHAUSTED/QUEUE_FULL"));
}

TEST_F(RunCommandTest, UnreachableSaysWhereAndWhatToDo) {
  server_.Stop();
  EXPECT_EQ(Run({"run", "--", "x"}), 125);
  EXPECT_THAT(console_.err(),
              HasSubstr("boxctl: UNAVAILABLE/UNREACHABLE: cannot reach boxkeeperd at " +
                        server_.address()));
  EXPECT_THAT(console_.err(), HasSubstr("--server or BOXKEEPER_SERVER"));
}

}  // namespace
}  // namespace boxkeeper::cli
