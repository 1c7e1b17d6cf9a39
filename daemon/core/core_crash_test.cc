// Crashes, reboots and hand-overs at awkward moments, and what must not wait for what.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class CrashTest : public CoreTest {};

TEST_F(CrashTest, ASandboxThatVanishedBeforeItsStartIntentIsAnotherAttempt) {
  faults_[Verb::kCreate].latency = {seconds(1), seconds(1), 0, milliseconds(0)};
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(100));
  // The answer arrives during the hand-over: the handle is kept, nothing is started.
  ASSERT_TRUE(HandOver(seconds(20)));
  ASSERT_EQ(world_->SandboxNames().size(), 1u);
  ASSERT_TRUE(world_->ExecutionsByExecId().empty());
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  Stop();
  faults_ = {};
  Boot();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 2);
}

TEST_F(CrashTest, AViewThatAsksForAStartDoesNotMakeItOvertakeItsIntent) {
  options_.poll_interval = milliseconds(10);
  commit_delay_ = [] { return seconds(1); };
  Boot();
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(1).Build());
  core_->Submit(std::move(items), [](absl::StatusOr<v1::SubmitTasksResponse>) {});
  // Polls see the new sandbox, with its boot marker, while the start intent is being written.
  while (world_->SandboxNames().empty()) clock_->Advance(milliseconds(10));
  clock_->Advance(milliseconds(1'500));
  EXPECT_EQ(provider_->calls(Verb::kStart), 0);
  clock_->Advance(seconds(10));
  EXPECT_EQ(provider_->calls(Verb::kStart), 1);
}

TEST_F(CrashTest, NothingIsCreatedAfterTheHandOver) {
  faults_[Verb::kCreate].latency = {hours(1), hours(1), 0, milliseconds(0)};
  options_.create_timeout = seconds(600);
  options_.creation_batch_wait = seconds(30);
  Boot();
  Submit(TaskMaker(1));
  clock_->Advance(milliseconds(100));
  Submit(TaskMaker(2));  // waits for others to share its call
  clock_->Advance(milliseconds(100));
  ASSERT_EQ(provider_->calls(Verb::kCreate), 1);
  ASSERT_TRUE(HandOver(seconds(1)));
  clock_->Advance(seconds(120));
  EXPECT_EQ(provider_->calls(Verb::kCreate), 1);
}

TEST_F(CrashTest, ACreateGivenUpByTheHandOverCountsNoAttempt) {
  faults_[Verb::kCreate].latency = {hours(1), hours(1), 0, milliseconds(0)};
  options_.create_timeout = seconds(600);
  options_.max_attempts = 1;
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(100));
  ASSERT_TRUE(HandOver(seconds(1)));
  faults_ = {};
  Restart();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 1);
}

TEST_F(CrashTest, AFullDiskDoesNotHoldTheHandOver) {
  Boot();
  Submit(TaskMaker(1).Command("sim run=1000ms"));
  clock_->Advance(milliseconds(100));
  fs_.SetCapacity(0);
  clock_->Advance(seconds(10));  // its end waits for space
  EXPECT_TRUE(HandOver(seconds(1)));
}

TEST_F(CrashTest, AReaderMayOutliveTheCore) {
  faults_[Verb::kCreate].latency = {seconds(5), seconds(5), 0, milliseconds(0)};
  Boot();
  v1::WatchEventsRequest request;
  request.set_owner("o");
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  Submit(TaskMaker(1).Owner("o"));
  clock_->Advance(seconds(1));  // a call is in flight
  core_.reset();
  reader->reset();  // the sanitizer would say so
  Stop();
}

TEST_F(CrashTest, AResultOfAnEarlierBootIsKeptForItsRetention) {
  options_.retention = minutes(1);
  options_.unacked_retention = minutes(100);
  Boot();
  clock_->Advance(minutes(50));
  const std::string id = Submit(TaskMaker(1).Owner("o")).id();
  WaitEnd(id);
  clock_->Advance(seconds(10));
  Reboot();
  clock_->Advance(minutes(99));
  EXPECT_TRUE(IsKept(id));
  clock_->Advance(minutes(2));
  EXPECT_FALSE(IsKept(id));
}

TEST_F(CrashTest, ARecordOfThisBootDoesNotRedateAnEndOfAnEarlierOne) {
  options_.retention = minutes(1);
  options_.unacked_retention = minutes(100);
  Boot();
  clock_->Advance(minutes(50));
  const v1::SubmitResult task = Submit(TaskMaker(1).Owner("o"));
  WaitEnd(task.id());
  clock_->Advance(seconds(10));
  Reboot();
  core_->LogComplete(task.generation());
  clock_->Advance(seconds(1));
  Restart();
  clock_->Advance(minutes(101));
  EXPECT_FALSE(IsKept(task.id()));
}

TEST_F(CrashTest, AReplacedTaskKeepsItsGracePeriod) {
  options_.cancel_grace = seconds(10);
  Boot();
  const std::string live =
      Submit(TaskMaker(1).Key("k").Command("sim run=3600000ms ignore_term")).id();
  clock_->Advance(seconds(1));
  Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_REPLACE));
  clock_->Advance(seconds(5));
  EXPECT_EQ(Get(live).state(), v1::TASK_STATE_STOPPING);
  EXPECT_EQ(world_->RunningExecIds().size(), 1u);
  EXPECT_EQ(WaitEnd(live).state(), v1::TASK_STATE_CANCELLED);
}

TEST_F(CrashTest, ACancelDoesNotWaitForTheBackOffOfAStart) {
  faults_[Verb::kStart].errors.push_back({.probability = 1.0, .proves_no_effect = true});
  options_.retry_initial = seconds(60);
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(2));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  Cancel(id);
  clock_->Advance(seconds(5));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Get(id).user_code_started(), v1::USER_CODE_STARTED_NO);
}

TEST_F(CrashTest, ALostSandboxThatMustSettleHoldsNoPlaceOfTheCleanup) {
  options_.providers["fake"].cleanup_concurrency = 1;
  faults_[Verb::kCreate].answer_lost = 1.0;
  options_.create_timeout = seconds(1);
  options_.max_attempts = 1;
  Boot();
  WaitEnd(Submit(TaskMaker(1)).id());
  provider_->options()[Verb::kCreate].answer_lost = 0;
  WaitEnd(Submit(TaskMaker(2)).id());
  clock_->Advance(seconds(5));
  EXPECT_EQ(world_->SandboxNames().size(), 1u) << "only the one whose handle is not known";
  clock_->Advance(seconds(300));
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(CrashTest, ARefusedStartAfterARestartDoesNotProveThatNothingRan) {
  // The first start runs and its answer is lost; then the machine restarts, and the second start is
  // refused because the sandbox is of another boot.
  world_options_.host_bound = true;
  faults_[Verb::kStart].answer_lost = 1.0;
  options_.start_timeout = seconds(600);
  faults_.events = false;
  options_.poll_interval = hours(1);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=3600000ms")).id();
  clock_->Advance(milliseconds(100));
  ASSERT_EQ(Executions(id), 1);
  // No look succeeds at first, so that the start is repeated before anybody saw the end.
  faults_[Verb::kInspect].errors.push_back({.probability = 1.0});
  faults_[Verb::kList].errors.push_back({.probability = 1.0});
  faults_[Verb::kStart].answer_lost = 0;
  Reboot();
  clock_->Advance(seconds(5));
  provider_->options()[Verb::kInspect].errors.clear();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_HOST_REBOOTED);
  EXPECT_NE(task.user_code_started(), v1::USER_CODE_STARTED_NO);
}

// Found by tests/sim: the back-off waited for the wall clock to come back.
TEST_F(CrashTest, ABackOffOfAnEarlierBootDoesNotWaitForAWallClockThatWasSetBack) {
  options_.max_attempts = 10;
  faults_[Verb::kCreate].errors.push_back(
      {.probability = 1.0, .error_class = provider::v1::CAPACITY});
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(1));
  faults_[Verb::kCreate] = {};
  world_->Reboot();
  Stop();
  ++reboots_;
  now_ = base::BootTime{};
  wall_ -= absl::Hours(24);
  Boot();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
}

}  // namespace
}  // namespace boxkeeper::daemon
