// Submissions: idempotency, keys, successors, bounds, dispatch order.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class SubmitTest : public CoreTest {};

TEST_F(SubmitTest, TheSameSubmissionIsTheSameTask) {
  Boot();
  const v1::SubmitResult first = Submit(TaskMaker(1));
  const v1::SubmitResult again = Submit(TaskMaker(1));
  EXPECT_EQ(first.outcome(), v1::SubmitResult::ACCEPTED);
  EXPECT_EQ(again.outcome(), v1::SubmitResult::DUPLICATE);
  EXPECT_EQ(again.id(), first.id());
  WaitEnd(first.id());
  Restart();
  EXPECT_EQ(Submit(TaskMaker(1)).id(), first.id());
}

TEST_F(SubmitTest, TheSameIdWithOtherContentIsRejectedByName) {
  Boot();
  Submit(TaskMaker(1));
  const v1::SubmitResult other = Submit(TaskMaker(1).Digest('e'));
  EXPECT_EQ(other.outcome(), v1::SubmitResult::REJECTED);
  ASSERT_EQ(other.violations_size(), 1);
  EXPECT_EQ(other.violations(0).field(), "submission_id");
}

TEST_F(SubmitTest, ALiveKeyIsRefused) {
  Boot();
  const v1::SubmitResult live = Submit(TaskMaker(1).Key("k").Command("sim run=1000ms"));
  const v1::SubmitResult second = Submit(TaskMaker(2).Key("k"));
  EXPECT_EQ(second.outcome(), v1::SubmitResult::ALREADY_LIVE);
  EXPECT_EQ(second.id(), live.id());
  WaitEnd(live.id());
  EXPECT_EQ(Submit(TaskMaker(3).Key("k")).outcome(), v1::SubmitResult::ACCEPTED);
}

TEST_F(SubmitTest, AfterWaitsForTheLiveTaskToBeFenced) {
  Boot();
  const std::string live = Submit(TaskMaker(1).Key("k").Command("sim run=3000ms")).id();
  const std::string next = Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_AFTER)).id();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(next).state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Get(next).waiting_for(), "predecessor " + live);
  EXPECT_EQ(Get(live).successor_id(), next);
  Restart();
  EXPECT_EQ(Get(next).state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(WaitEnd(live).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(WaitEnd(next).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, AfterStopsTheLiveTaskWhenTheHandoverGraceIsOver) {
  options_.handover_grace = seconds(2);
  Boot();
  const std::string live = Submit(TaskMaker(1).Key("k").Command("sim run=3600000ms")).id();
  const std::string next = Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_AFTER)).id();
  clock_->Advance(milliseconds(1'900));
  EXPECT_EQ(Get(live).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(WaitEnd(live).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(WaitEnd(next).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, ReplaceStopsTheLiveTaskAtOnce) {
  Boot();
  const std::string live = Submit(TaskMaker(1).Key("k").Command("sim run=3600000ms")).id();
  clock_->Advance(milliseconds(100));
  const std::string next = Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_REPLACE)).id();
  const v1::Task ended = WaitEnd(live);
  EXPECT_EQ(ended.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(ended.message(), "replaced by " + next);
  EXPECT_EQ(WaitEnd(next).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, ASecondSuccessorReplacesTheWaitingOne) {
  Boot();
  const std::string live = Submit(TaskMaker(1).Key("k").Command("sim run=2000ms")).id();
  const std::string waiting = Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_AFTER)).id();
  const std::string newer = Submit(TaskMaker(3).Key("k").OnLiveKey(v1::ON_LIVE_KEY_AFTER)).id();
  const v1::Task replaced = WaitEnd(waiting);
  EXPECT_EQ(replaced.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(replaced.message(), "replaced by " + newer);
  EXPECT_EQ(WaitEnd(live).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(WaitEnd(newer).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, APlainLogPathHasOneOwner) {
  Boot();
  const std::string first = Submit(TaskMaker(1).LogPath("plain", "mine")).id();
  WaitEnd(first);
  Restart();
  const v1::SubmitResult second = Submit(TaskMaker(2).LogPath("plain", "mine"));
  EXPECT_EQ(second.outcome(), v1::SubmitResult::REJECTED);
  ASSERT_EQ(second.violations_size(), 1);
  EXPECT_EQ(second.violations(0).field(), "sandbox_override.log.path");
  EXPECT_EQ(Submit(TaskMaker(3).LogPath("airflow", "ours")).outcome(), v1::SubmitResult::ACCEPTED);
  EXPECT_EQ(Submit(TaskMaker(4).LogPath("airflow", "ours")).outcome(), v1::SubmitResult::ACCEPTED);
}

TEST_F(SubmitTest, AFullQueueSaysWhenToComeBack) {
  options_.max_running = 1;
  options_.max_queued = 2;
  Boot();
  Submit(TaskMaker(1).Command("sim run=3600000ms"));
  clock_->Advance(milliseconds(50));
  Submit(TaskMaker(2));
  Submit(TaskMaker(3));
  const v1::SubmitResult refused = Submit(TaskMaker(4));
  EXPECT_EQ(refused.outcome(), v1::SubmitResult::QUEUE_FULL);
  EXPECT_GT(refused.retry_after().seconds(), 0);
}

TEST_F(SubmitTest, HigherPriorityGoesFirstThenSubmissionOrder) {
  options_.max_running = 1;
  Boot();
  Submit(TaskMaker(1).Command("sim run=1000ms"));
  clock_->Advance(milliseconds(50));
  const std::string low = Submit(TaskMaker(2)).id();
  const std::string low2 = Submit(TaskMaker(3)).id();
  const std::string high = Submit(TaskMaker(4).Priority(5)).id();
  WaitEnd(low2);
  std::vector<std::string> order;
  for (const auto& entry : world_->audit()) {
    if (entry.kind == providers::testing::AuditEntry::kExecute) order.push_back(entry.exec_id);
  }
  ASSERT_EQ(order.size(), 4u);
  EXPECT_EQ(std::vector<std::string>(order.begin() + 1, order.end()),
            (std::vector<std::string>{high, low, low2}));
}

TEST_F(SubmitTest, NoMoreThanMaxRunningAtATime) {
  options_.max_running = 3;
  Boot();
  for (int i = 0; i < 10; ++i) Submit(TaskMaker(i + 1).Command("sim run=500ms"));
  size_t most = 0;
  for (int i = 0; i < 300; ++i) {
    clock_->Advance(milliseconds(10));
    most = std::max(most, world_->RunningExecIds().size());
  }
  EXPECT_EQ(most, 3u);
  EXPECT_EQ(core_->GetStatus().tasks().at("SUCCEEDED"), 10);
}

TEST_F(SubmitTest, CreatesRunConcurrentlyWithinTheProvidersLimit) {
  faults_[Verb::kCreate].latency = {milliseconds(100), milliseconds(100), 0, milliseconds(0)};
  options_.providers["fake"].create_concurrency = 8;
  Boot();
  const base::BootTime begun = clock_->Boot();
  std::vector<std::string> ids;
  for (int i = 0; i < 16; ++i) ids.push_back(Submit(TaskMaker(i + 1)).id());
  for (const std::string& id : ids) WaitEnd(id);
  // 16 creates of 100 ms, 8 at a time: two rounds (and the first batch's head start), never
  // sixteen.
  EXPECT_LT(clock_->Boot() - begun, milliseconds(450));
}

TEST_F(SubmitTest, APastStartDeadlineIsAcceptedAndExpires) {
  Boot();
  const v1::SubmitResult result = Submit(TaskMaker(1).Deadline(clock_->Now() - absl::Seconds(5)));
  EXPECT_EQ(result.outcome(), v1::SubmitResult::ACCEPTED);
  const v1::Task task = WaitEnd(result.id());
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_EXPIRED);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  EXPECT_TRUE(world_->ExecutionsByExecId().empty());
}

TEST_F(SubmitTest, AClockJumpDoesNotExpireAQueuedTask) {
  options_.max_running = 1;
  Boot();
  Submit(TaskMaker(1).Command("sim run=2000ms"));
  clock_->Advance(milliseconds(50));
  const std::string id = Submit(TaskMaker(2).Deadline(clock_->Now() + absl::Seconds(600))).id();
  clock_->SetWall(clock_->Now() + absl::Hours(24));
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, ADrainHoldsNewStartsAcrossARestart) {
  Boot();
  ASSERT_TRUE(Await(core_->Drain(v1::DrainRequest())).ok());
  Restart();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(5));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Get(id).waiting_for(), "drain");
  v1::DrainRequest off;
  off.set_off(true);
  ASSERT_TRUE(Await(core_->Drain(off)).ok());
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(SubmitTest, NothingIsAcknowledgedOnAFullDiskAndTheRestGoesOn) {
  Boot();
  const std::string running = Submit(TaskMaker(1).Command("sim run=1000ms")).id();
  clock_->Advance(milliseconds(50));
  fs_.SetCapacity(fs_.used_bytes());
  bool answered = false;
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(2).Build());
  core_->Submit(std::move(items), [&answered](absl::StatusOr<v1::SubmitTasksResponse> response) {
    answered = response.ok() && response->results(0).outcome() == v1::SubmitResult::ACCEPTED;
  });
  clock_->Advance(seconds(5));
  const bool while_full = answered;
  fs_.SetCapacity(std::nullopt);
  EXPECT_EQ(WaitEnd(running).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_TRUE(fatal_.ok()) << fatal_;
  // Either the ballast made room for it, or it had to wait for space; what was said is what is
  // durable.
  Restart();
  EXPECT_EQ(core_->GetStatus().tasks().at("SUCCEEDED") >= (while_full ? 2 : 1), true);
}

}  // namespace
}  // namespace boxkeeper::daemon
