// Providers that are away, daemons that did not run for a while, clients that vanish.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using providers::testing::FakeProvider;
using std::chrono::hours;
using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class OutageTest : public CoreTest {
 protected:
  OutageTest() { options_.poll_interval = seconds(5); }

  std::string Running(int number, const std::string& command, int64_t timeout = 0) {
    TaskMaker task(number);
    task.Command(command);
    if (timeout > 0) task.Timeout(timeout);
    const std::string id = Submit(task).id();
    clock_->Advance(seconds(1));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
    return id;
  }

  void AnHourAway(FakeProvider::Reach how) {
    provider_->SetReach(how);
    clock_->Advance(hours(1));
  }
};

TEST_F(OutageTest, AnHourWithoutTheProviderEndsNothingByItself) {
  for (const auto reach : {FakeProvider::Reach::kRefuses, FakeProvider::Reach::kHangs}) {
    const int number = reach == FakeProvider::Reach::kRefuses ? 1 : 2;
    Boot();
    const std::string id = Running(number, "sim run=2h exit=3");
    AnHourAway(reach);
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
    EXPECT_TRUE(core_->ListProviders().providers(0).has_unreachable_since());
    provider_->SetReach(FakeProvider::Reach::kUp);
    clock_->Advance(hours(1));
    EXPECT_EQ(Get(id).exit_code(), 3);
    EXPECT_EQ(Executions(id), 1);
    Stop();
  }
}

TEST_F(OutageTest, AnEndDuringTheOutageIsTold) {
  Boot();
  const std::string id = Running(1, "sim run=10m exit=3");
  AnHourAway(FakeProvider::Reach::kHangs);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  provider_->SetReach(FakeProvider::Reach::kUp);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_EXIT_CODE);
  EXPECT_EQ(task.exit_code(), 3);
}

TEST_F(OutageTest, ACancelKeepsTryingUntilTheProviderIsBack) {
  Boot();
  const std::string id = Running(1, "sim run=10h");
  provider_->SetReach(FakeProvider::Reach::kHangs);
  clock_->Advance(minutes(10));
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING) << "never waits for a provider";
  clock_->Advance(minutes(50));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  provider_->SetReach(FakeProvider::Reach::kUp);
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_TRUE(world_->RunningExecIds().empty());
}

TEST_F(OutageTest, ATimeoutThatFallsDueKeepsTrying) {
  // A supervisor that does not enforce it.
  world_options_.script = [](const providers::testing::pb::LaunchRequest&) {
    return providers::testing::Behaviour{.run = hours(10)};
  };
  Boot();
  const std::string id = Running(1, "sim", 600);
  world_->options().script = providers::testing::BehaviourOf;
  AnHourAway(FakeProvider::Reach::kRefuses);
  provider_->SetReach(FakeProvider::Reach::kUp);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_RUN_TIMEOUT);
}

// The daemon's back-up clock ran out while nobody could say that the task had ended in time.
TEST_F(OutageTest, WhatEndedInTimeIsNoTimeout) {
  Boot();
  const std::string good = Running(1, "sim run=5m", 600);
  const std::string bad = Running(2, "sim run=5m exit=4", 600);
  const std::string slow = Running(3, "sim run=50m", 600);
  AnHourAway(FakeProvider::Reach::kHangs);
  EXPECT_EQ(Get(good).state(), v1::TASK_STATE_STOPPING);
  provider_->SetReach(FakeProvider::Reach::kUp);
  EXPECT_EQ(WaitEnd(good).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Get(good).message(), "");
  EXPECT_EQ(WaitEnd(bad).reason(), v1::REASON_EXIT_CODE);
  EXPECT_EQ(Get(bad).exit_code(), 4);
  EXPECT_EQ(WaitEnd(slow).reason(), v1::REASON_RUN_TIMEOUT) << "as its supervisor saw it";
}

TEST_F(OutageTest, QueuedTasksWaitAndExpireByTheirOwnDeadline) {
  Boot();
  provider_->SetReach(FakeProvider::Reach::kRefuses);
  clock_->Advance(minutes(1));
  const std::string patient = Submit(TaskMaker(1)).id();
  const std::string hasty = Submit(TaskMaker(2).Deadline(clock_->Now() + absl::Minutes(10))).id();
  clock_->Advance(hours(1));
  EXPECT_EQ(Get(patient).state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Get(hasty).reason(), v1::REASON_EXPIRED);
  provider_->SetReach(FakeProvider::Reach::kUp);
  EXPECT_EQ(WaitEnd(patient).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(OutageTest, SandboxesThatAreToGoGoWhenItIsBack) {
  Boot();
  const std::string id = Running(1, "sim run=5s");
  provider_->options()[Verb::kDestroy].errors.push_back({.probability = 1.0});
  WaitEnd(id);
  AnHourAway(FakeProvider::Reach::kHangs);
  provider_->options()[Verb::kDestroy] = {};
  provider_->SetReach(FakeProvider::Reach::kUp);
  clock_->Advance(minutes(2));
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(OutageTest, AMinuteOfSigstopLosesNothingAndStartsNothingTwice) {
  world_options_.create_list_lag = seconds(2);
  Boot();
  const std::string running = Running(1, "sim run=1h");
  const std::string ended = Running(2, "sim run=30s exit=3");
  const std::string timed = Running(3, "sim run=20s", 40);
  faults_ = {};
  provider_->options()[Verb::kStart].latency = {seconds(20), seconds(20), 0, seconds(0)};
  const std::string starting = Submit(TaskMaker(4).Command("sim run=1h")).id();
  clock_->Advance(seconds(1));
  ASSERT_EQ(Get(starting).state(), v1::TASK_STATE_STARTING);
  Suspend(seconds(60));
  clock_->Advance(seconds(30));
  EXPECT_EQ(Get(running).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Get(starting).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Get(ended).exit_code(), 3);
  EXPECT_EQ(Get(timed).state(), v1::TASK_STATE_SUCCEEDED);
  for (const std::string& id : {running, ended, timed, starting}) EXPECT_EQ(Executions(id), 1);
}

TEST_F(OutageTest, AMinuteOfSigstopDuringACreateMakesNoSecondOne) {
  Boot();
  provider_->options()[Verb::kCreate].latency = {seconds(20), seconds(20), 0, seconds(0)};
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h")).id();
  clock_->Advance(seconds(1));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_CREATING);
  Suspend(seconds(60));
  clock_->Advance(seconds(10));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(world_->SandboxNames().size(), 1u);
}

// What the client sent while the daemon did not run lies in its socket, behind the timer.
TEST_F(OutageTest, ALeaseDoesNotLapseWhileTheDaemonCouldNotHear) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h").Lease(30)).id();
  clock_->Advance(seconds(20));
  Suspend(seconds(60));
  v1::RenewLeaseRequest renew;
  renew.add_ids(id);
  ASSERT_TRUE(core_->RenewLease(renew).ok());
  clock_->Advance(seconds(20));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  // Nobody renews it any more.
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(task.reason(), v1::REASON_CLIENT_LOST);
}

TEST_F(OutageTest, ALeaseBeginsAnewWithTheNextDaemon) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h").Lease(30)).id();
  clock_->Advance(seconds(20));
  Stop();
  now_ += minutes(5);  // nobody could renew it
  Boot();
  clock_->Advance(seconds(25));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_CLIENT_LOST);
}

TEST_F(OutageTest, ALapsedLeaseOfAQueuedTaskMeansItNeverRuns) {
  options_.max_running = 1;
  Boot();
  Running(1, "sim run=10m");
  const std::string id = Submit(TaskMaker(2).Lease(30)).id();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_CLIENT_LOST);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  clock_->Advance(hours(1));
  EXPECT_EQ(Executions(id), 0);
}

// An owner that vanishes: its stream closes, its leases lapse; tasks without one run on.
TEST_F(OutageTest, AVanishedOwnerLosesOnlyWhatItsLeaseSays) {
  Boot();
  v1::WatchEventsRequest request;
  request.set_owner("o");
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  const std::string leased = Submit(TaskMaker(1).Owner("o").Command("sim run=1h").Lease(30)).id();
  const std::string kept = Submit(TaskMaker(2).Owner("o").Command("sim run=10m")).id();
  clock_->Advance(minutes(5));
  EXPECT_EQ(Get(leased).state(), v1::TASK_STATE_RUNNING) << "its open stream renews it";
  reader->reset();
  EXPECT_EQ(WaitEnd(leased).reason(), v1::REASON_CLIENT_LOST);
  clock_->Advance(minutes(10));
  EXPECT_EQ(Get(kept).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Events("o").back().task().id(), kept) << "and its events wait for it";
}

}  // namespace
}  // namespace boxkeeper::daemon
