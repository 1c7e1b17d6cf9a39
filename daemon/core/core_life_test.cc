// A task's life after admission: ends, stops, losses, the crash table, leases, retention.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class LifeTest : public CoreTest {
 protected:
  std::vector<v1::TaskState> StatesOf(const std::string& owner) {
    std::vector<v1::TaskState> states;
    for (const v1::Event& event : Events(owner)) states.push_back(event.task().state());
    return states;
  }
};

TEST_F(LifeTest, AnEventTellsEachStateOnce) {
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o").Command("sim run=100ms")).id());
  EXPECT_EQ(StatesOf("o"),
            (std::vector<v1::TaskState>{v1::TASK_STATE_QUEUED, v1::TASK_STATE_CREATING,
                                        v1::TASK_STATE_STARTING, v1::TASK_STATE_RUNNING,
                                        v1::TASK_STATE_SUCCEEDED}));
}

TEST_F(LifeTest, AnEarlierEventDoesNotTellTheEnd) {
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o").Command("sim exit=3")).id());
  const std::vector<v1::Event> events = Events("o");
  EXPECT_FALSE(events.front().task().has_exit_code());
  EXPECT_FALSE(events.front().task().has_ended_at());
  EXPECT_EQ(events.back().task().exit_code(), 3);
}

TEST_F(LifeTest, ExitCodeAndSignalAreTold) {
  Boot();
  const v1::Task seven = WaitEnd(Submit(TaskMaker(1).Command("sim exit=7")).id());
  EXPECT_EQ(seven.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(seven.reason(), v1::REASON_EXIT_CODE);
  EXPECT_EQ(seven.exit_code(), 7);
  EXPECT_EQ(seven.message(), "exited with code 7");
  EXPECT_FALSE(seven.has_signal());
  const v1::Task killed = WaitEnd(Submit(TaskMaker(2).Command("sim signal=9")).id());
  EXPECT_EQ(killed.reason(), v1::REASON_SIGNAL);
  EXPECT_EQ(killed.signal(), 9);
  EXPECT_FALSE(killed.has_exit_code());
}

TEST_F(LifeTest, ACommandThatCannotStartIsNoUserFailure) {
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1).Command("sim start_fails")).id());
  EXPECT_EQ(task.reason(), v1::REASON_START_FAILED);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
}

TEST_F(LifeTest, CancelOfAQueuedTaskMeansItNeverRuns) {
  options_.max_running = 1;
  Boot();
  Submit(TaskMaker(1).Command("sim run=1000ms"));
  clock_->Advance(milliseconds(50));
  const std::string id = Submit(TaskMaker(2)).id();
  EXPECT_EQ(Cancel(id), v1::CancelResult::CANCELLED);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CANCELLED);
  clock_->Advance(seconds(5));
  EXPECT_FALSE(world_->ExecutionsByExecId().contains(id));
  EXPECT_EQ(Cancel(id), v1::CancelResult::ALREADY_TERMINAL);
}

TEST_F(LifeTest, CancelWhileTheSandboxIsMadeLeavesNothing) {
  faults_[Verb::kCreate].latency = {seconds(2), seconds(2), 0, milliseconds(0)};
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(500));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CREATING);
  EXPECT_EQ(Cancel(id), v1::CancelResult::CANCELLED);
  clock_->Advance(seconds(10));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(world_->ExecutionsByExecId().empty());
}

TEST_F(LifeTest, CancelOfARunningTaskIsReportedOnceItIsFenced) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=3600000ms ignore_term")).id();
  clock_->Advance(milliseconds(100));
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  EXPECT_EQ(world_->RunningExecIds().size(), 1u);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_TRUE(world_->RunningExecIds().empty());
}

TEST_F(LifeTest, TheDaemonsOwnClockEndsATaskWhoseSupervisorDoesNot) {
  world_options_.script = [](const provider::v1::LaunchRequest&) {
    providers::testing::Behaviour behaviour;
    behaviour.run = std::chrono::hours(10);
    return behaviour;
  };
  options_.cancel_grace = seconds(1);
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1).Timeout(2)).id());
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_RUN_TIMEOUT);
}

TEST_F(LifeTest, AVanishedSandboxIsLostOnlyAfterTwoLookUps) {
  options_.poll_interval = seconds(1);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=3600000ms")).id();
  clock_->Advance(milliseconds(500));
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_SANDBOX_LOST);
}

TEST_F(LifeTest, ARunningTaskIsAdoptedByTheNextDaemon) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=5000ms exit=4")).id();
  clock_->Advance(seconds(1));
  Restart();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.exit_code(), 4);
  EXPECT_EQ(world_->ExecutionsByExecId().at(id), 1);
}

TEST_F(LifeTest, AnEndDuringTheDaemonsAbsenceIsFound) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1000ms exit=4")).id();
  clock_->Advance(milliseconds(500));
  Stop();
  now_ += std::chrono::minutes(10);
  Boot();
  EXPECT_EQ(WaitEnd(id).exit_code(), 4);
}

TEST_F(LifeTest, ALostStartAnswerRunsTheTaskOnce) {
  faults_[Verb::kStart].answer_lost = 1.0;
  options_.start_timeout = seconds(2);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=100ms")).id();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(world_->ExecutionsByExecId().at(id), 1);
}

TEST_F(LifeTest, AStartOfWhichNothingIsHeardEndsFenced) {
  options_.start_timeout = seconds(10);
  options_.poll_interval = seconds(5);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10h start_silent")).id();
  clock_->Advance(seconds(29));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_START_FAILED);
  EXPECT_NE(
      task.message().find("nothing was heard of its start for 30s: not known to have started"),
      std::string::npos)
      << task.message();
  EXPECT_NE(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  EXPECT_EQ(task.attempt(), 1);
  clock_->Advance(seconds(60));
  EXPECT_EQ(world_->ExecutionsByExecId().at(id), 1);
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(LifeTest, AStartThatNeverAnswersEndsOnlyOnceItIsFenced) {
  options_.start_timeout = seconds(10);
  faults_[Verb::kStart].latency = {std::chrono::hours(24), std::chrono::hours(24), 0, {}};
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(25));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  // Nor does the fence: nothing may end as long as the start may still take effect.
  provider_->options()[Verb::kFence].errors.push_back({.probability = 1.0});
  clock_->Advance(seconds(600));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  provider_->options()[Verb::kFence].errors.clear();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_START_FAILED);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  clock_->Advance(std::chrono::hours(48));
  EXPECT_TRUE(world_->ExecutionsByExecId().empty()) << "the start arrived at what is gone";
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(LifeTest, AnUnreachableProviderDoesNotEndAStart) {
  options_.start_timeout = seconds(10);
  options_.poll_interval = seconds(5);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10h start_silent")).id();
  clock_->Advance(seconds(15));
  for (const auto reach : {providers::testing::FakeProvider::Reach::kRefuses,
                           providers::testing::FakeProvider::Reach::kHangs}) {
    provider_->SetReach(reach);
    clock_->Advance(seconds(3600));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  }
  provider_->SetReach(providers::testing::FakeProvider::Reach::kUp);
  clock_->Advance(seconds(15));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING) << "its patience begins anew";
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_START_FAILED);
  EXPECT_EQ(world_->ExecutionsByExecId().at(id), 1);
}

TEST_F(LifeTest, ALostCreateAnswerLeavesNoSpare) {
  faults_[Verb::kCreate].answer_lost = 0.5;
  options_.create_timeout = seconds(2);
  options_.max_attempts = 100;
  Boot();
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Submit(TaskMaker(i + 1)).id());
  for (const std::string& id : ids) EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  clock_->Advance(seconds(120));
  EXPECT_TRUE(world_->SandboxNames().empty());
  for (const auto& [exec_id, count] : world_->ExecutionsByExecId()) EXPECT_EQ(count, 1) << exec_id;
}

TEST_F(LifeTest, CreateFailuresEndAfterMaxAttempts) {
  faults_[Verb::kCreate].errors.push_back(
      {.probability = 1.0, .error_class = provider::v1::CAPACITY, .proves_no_effect = true});
  options_.max_attempts = 3;
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1)).id());
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_CAPACITY);
  EXPECT_EQ(task.attempt(), 3);
}

TEST_F(LifeTest, AnAuthErrorIsNotTriedAgain) {
  faults_[Verb::kCreate].errors.push_back(
      {.probability = 1.0, .error_class = provider::v1::AUTH, .proves_no_effect = true});
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1)).id());
  EXPECT_EQ(task.reason(), v1::REASON_AUTH);
  EXPECT_EQ(task.attempt(), 1);
}

TEST_F(LifeTest, AnUnreachableProviderIsAConditionNotAnEnd) {
  options_.poll_interval = seconds(1);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10000ms")).id();
  clock_->Advance(seconds(1));
  provider_->SetReach(providers::testing::FakeProvider::Reach::kRefuses);
  clock_->Advance(seconds(3600));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_TRUE(Get(id).has_provider_unreachable_since());
  const std::string waiting = Submit(TaskMaker(2)).id();
  clock_->Advance(seconds(10));
  EXPECT_EQ(Get(waiting).state(), v1::TASK_STATE_QUEUED);
  provider_->SetReach(providers::testing::FakeProvider::Reach::kUp);
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(WaitEnd(waiting).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(LifeTest, AnOperatorMayAbandonWhatCannotBeFenced) {
  options_.poll_interval = seconds(1);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=3600000ms")).id();
  clock_->Advance(seconds(1));
  v1::AbandonTaskRequest request;
  request.set_id(id);
  EXPECT_EQ(Await(core_->AbandonTask(request)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  provider_->SetReach(providers::testing::FakeProvider::Reach::kRefuses);
  Cancel(id);
  clock_->Advance(seconds(60));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  auto abandoned = Await(core_->AbandonTask(request));
  ASSERT_TRUE(abandoned.ok()) << abandoned.status();
  EXPECT_EQ(abandoned->task().state(), v1::TASK_STATE_LOST);
  EXPECT_NE(abandoned->task().message().find("fence not confirmed"), std::string::npos);
}

TEST_F(LifeTest, ALapsedLeaseCancelsAndARenewedOneDoesNot) {
  Boot();
  const std::string lapsed = Submit(TaskMaker(1).Lease(2).Command("sim run=20000ms")).id();
  const std::string renewed = Submit(TaskMaker(2).Lease(2).Command("sim run=20000ms")).id();
  for (int i = 0; i < 10; ++i) {
    clock_->Advance(seconds(1));
    v1::RenewLeaseRequest request;
    request.add_ids(renewed);
    ASSERT_TRUE(core_->RenewLease(request).ok());
  }
  const v1::Task task = WaitEnd(lapsed);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(task.reason(), v1::REASON_CLIENT_LOST);
  EXPECT_EQ(Get(renewed).state(), v1::TASK_STATE_RUNNING);
}

TEST_F(LifeTest, AnOpenEventStreamRenewsItsOwnersLeases) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("o").Lease(2).Command("sim run=20000ms")).id();
  v1::WatchEventsRequest request;
  request.set_owner("o");
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  clock_->Advance(seconds(10));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  reader->reset();
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_CLIENT_LOST);
}

TEST_F(LifeTest, AcknowledgedEventsAreNotRepeatedAndOthersAreAfterARestart) {
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o")).id());
  const std::vector<v1::Event> first = Events("o");
  v1::AckEventsRequest ack;
  ack.set_owner("o");
  ack.set_cursor(first[1].cursor());
  ASSERT_TRUE(Await(core_->AckEvents(ack)).ok());
  Restart();
  const std::vector<v1::Event> rest = Events("o");
  ASSERT_EQ(rest.size(), first.size() - 2);
  EXPECT_EQ(rest.front().cursor(), first[2].cursor());
}

TEST_F(LifeTest, AdoptionMovesTheTaskAndTellsBothOwners) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("old").Command("sim run=5000ms")).id();
  clock_->Advance(seconds(1));
  v1::AdoptTasksRequest request;
  request.set_new_owner("new");
  request.add_tasks()->set_id(id);
  request.add_tasks()->set_id("aaaaaaaaaaaaaaaaaaaaaaaaaa");
  auto adopted = Await(core_->AdoptTasks(request));
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->results(0).outcome(), v1::AdoptResult::LIVE);
  EXPECT_EQ(adopted->results(0).task().owner(), "new");
  EXPECT_EQ(adopted->results(1).outcome(), v1::AdoptResult::UNKNOWN);
  Restart();
  WaitEnd(id);
  EXPECT_EQ(Events("old").back().type(), v1::EVENT_TYPE_OWNER_LOST);
  const std::vector<v1::Event> events = Events("new");
  EXPECT_EQ(events.front().type(), v1::EVENT_TYPE_OWNER_CHANGED);
  EXPECT_EQ(events.back().task().state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(LifeTest, AnAcknowledgedResultIsCompactedAndItsSubmissionStaysKnown) {
  options_.retention = seconds(60);
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("o")).id();
  WaitEnd(id);
  const std::string last = Events("o").back().cursor();
  clock_->Advance(seconds(120));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_SUCCEEDED) << "not acknowledged yet";
  v1::AckEventsRequest ack;
  ack.set_owner("o");
  ack.set_cursor(last);
  ASSERT_TRUE(Await(core_->AckEvents(ack)).ok());
  clock_->Advance(seconds(120));
  v1::GetTaskRequest get;
  get.mutable_task()->set_id(id);
  EXPECT_EQ(Await(core_->GetTask(get)).status().code(), absl::StatusCode::kNotFound);
  Restart();
  const v1::SubmitResult again = Submit(TaskMaker(1).Owner("o"));
  EXPECT_EQ(again.outcome(), v1::SubmitResult::DUPLICATE);
  EXPECT_EQ(again.id(), id);
}

TEST_F(LifeTest, CompactionKeepsUpWithManyEnds) {
  constexpr int kTasks = 1'000;
  options_.retention = seconds(60);
  Boot();
  std::string last;
  for (int i = 1; i <= kTasks; ++i) last = Submit(TaskMaker(i)).id();
  v1::CancelTasksRequest cancel;
  cancel.mutable_filter()->add_states(v1::TASK_STATE_QUEUED);
  cancel.mutable_filter()->add_states(v1::TASK_STATE_CREATING);
  ASSERT_TRUE(Await(core_->CancelTasks(cancel)).ok());
  WaitEnd(last);
  clock_->Advance(seconds(63));
  v1::ListTasksRequest list;
  list.set_page_size(kTasks);
  const auto left = Await(core_->ListTasks(list));
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->tasks_size(), 0);
}

TEST_F(LifeTest, ACursorOlderThanRetentionIsGone) {
  options_.retention = seconds(10);
  options_.unacked_retention = seconds(20);
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o")).id());
  const std::string old = Events("o").front().cursor();
  clock_->Advance(seconds(60));
  WaitEnd(Submit(TaskMaker(2).Owner("o")).id());
  v1::WatchEventsRequest request;
  request.set_owner("o");
  request.set_cursor(old);
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(Await((*reader)->Next(10, seconds(1))).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(LifeTest, GenerationsAreNotUsedAgainAfterTheTombstonesAreGone) {
  options_.retention = seconds(1);
  options_.dedupe_retention = seconds(5);
  Boot();
  const v1::SubmitResult first = Submit(TaskMaker(1));
  WaitEnd(first.id());
  clock_->Advance(seconds(60));
  Restart();
  EXPECT_GT(Submit(TaskMaker(1)).generation(), first.generation());
}

TEST_F(LifeTest, ListsAreFilteredAndPaged) {
  Boot();
  for (int i = 0; i < 5; ++i)
    WaitEnd(Submit(TaskMaker(i + 1).Label("team", i % 2 == 0 ? "a" : "b")).id());
  v1::ListTasksRequest request;
  (*request.mutable_filter()->mutable_labels())["team"] = "a";
  request.set_page_size(2);
  auto page = Await(core_->ListTasks(request));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->tasks_size(), 2);
  EXPECT_GT(page->tasks(0).generation(), page->tasks(1).generation());
  request.set_page_token(page->next_page_token());
  page = Await(core_->ListTasks(request));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->tasks_size(), 1);
  EXPECT_TRUE(page->next_page_token().empty());
  request.set_page_token("nonsense");
  EXPECT_EQ(Await(core_->ListTasks(request)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LifeTest, APageOfLargeTasksStaysBelowWhatClientsAccept) {
  Boot();
  constexpr int kTasks = 6;
  for (int i = 0; i < kTasks; ++i)
    Submit(TaskMaker(i + 1).Command("sim " + std::string(900'000, 'x')));
  v1::ListTasksRequest request;
  int seen = 0;
  do {
    auto page = Await(core_->ListTasks(request));
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), 4u << 20);
    seen += page->tasks_size();
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, kTasks);
}

TEST_F(LifeTest, AWaitTimesOutByItself) {
  Boot();
  v1::WaitTaskRequest request;
  request.add_ids(Submit(TaskMaker(1).Command("sim run=3600000ms")).id());
  request.mutable_timeout()->set_seconds(3);
  auto response = Await(core_->WaitTask(request));
  ASSERT_TRUE(response.ok());
  EXPECT_TRUE(response->timed_out());
}

TEST_F(LifeTest, AVerifiedSandboxThatNobodyHoldsIsAnOrphan) {
  options_.poll_interval = seconds(1);
  options_.orphan_grace = seconds(5);
  Boot();
  const base::SandboxId id{rng_->NewId()};
  world_->AddForeign(naming_.Name(id), naming_.Labels(id, "fake", 0, 1, {}));
  world_->AddForeign("somebody-elses", {});
  clock_->Advance(seconds(4));
  EXPECT_EQ(world_->SandboxNames().size(), 2u);
  clock_->Advance(seconds(10));
  EXPECT_EQ(world_->SandboxNames(), std::vector<std::string>{"somebody-elses"});
}

TEST_F(LifeTest, ASandboxOfAHigherEpochStopsTheReaperAndIsSaid) {
  options_.poll_interval = seconds(1);
  options_.orphan_grace = seconds(1);
  Boot();
  const base::SandboxId id{rng_->NewId()};
  world_->AddForeign(naming_.Name(id), naming_.Labels(id, "fake", 0, 99, {}));
  clock_->Advance(seconds(60));
  EXPECT_EQ(world_->SandboxNames().size(), 1u);
  EXPECT_FALSE(core_->ready());
}

}  // namespace
}  // namespace boxkeeper::daemon
