// One-step launch, where Create carries the command: the rows of the crash table (design section 4)
// and what follows from the create intent being the start intent.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

namespace pb = ::boxkeeper::provider::v1;
using providers::testing::FakeProvider;
using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class OneStepTest : public CoreTest {
 protected:
  OneStepTest() {
    world_options_.one_step = true;
    options_.poll_interval = seconds(5);
  }

  // The daemon died with a create on its way that took effect.
  std::string CreatedWithoutAnswer(const std::string& command) {
    faults_[Verb::kCreate].answer_lost = 1.0;
    faults_[Verb::kFind].errors.push_back({.probability = 1.0});
    faults_[Verb::kList].errors.push_back({.probability = 1.0});
    options_.create_timeout = minutes(10);
    Boot();
    const std::string id = Submit(TaskMaker(1).Command(command)).id();
    clock_->Advance(milliseconds(100));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
    EXPECT_EQ(Executions(id), 1);
    faults_[Verb::kCreate] = faults_[Verb::kFind] = faults_[Verb::kList] = {};
    Stop();
    return id;
  }

  // The daemon died with a create on its way that never arrived.
  std::string NeverCreated() {
    Boot();
    provider_->SetReach(FakeProvider::Reach::kHangs);
    const std::string id = Submit(TaskMaker(1)).id();
    clock_->Advance(milliseconds(100));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
    Stop();
    return id;
  }
};

TEST_F(OneStepTest, ATaskRunsAndItsSandboxGoes) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("o").Command("sim run=3s exit=3")).id();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_EXIT_CODE);
  EXPECT_EQ(task.exit_code(), 3);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_YES);
  clock_->Advance(seconds(10));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_EQ(provider_->calls(Verb::kStart), 0);
  std::vector<v1::TaskState> states;
  for (const v1::Event& event : Events("o")) states.push_back(event.task().state());
  EXPECT_EQ(states, (std::vector<v1::TaskState>{v1::TASK_STATE_QUEUED, v1::TASK_STATE_CREATING,
                                                v1::TASK_STATE_STARTING, v1::TASK_STATE_RUNNING,
                                                v1::TASK_STATE_FAILED}));
}

TEST_F(OneStepTest, TheStoreSaysThatItMayRunBeforeTheCreateLeaves) {
  commit_delay_ = [] { return seconds(1); };
  Boot();
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(1).Owner("o").Build());
  core_->Submit(std::move(items), [](absl::StatusOr<v1::SubmitTasksResponse>) {});
  while (provider_->calls(Verb::kCreate) == 0) clock_->Advance(milliseconds(10));
  EXPECT_EQ(Events("o").back().task().state(), v1::TASK_STATE_STARTING) << "durable ones only";
}

TEST_F(OneStepTest, StoppedBeforeItsCreateLeftNothingIsCreated) {
  commit_delay_ = [] { return seconds(1); };
  Boot();
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(1).Owner("o").Build());
  std::string id;
  core_->Submit(std::move(items), [&id](absl::StatusOr<v1::SubmitTasksResponse> response) {
    id = response->results(0).id();
  });
  // The start intent is being written.
  while (core_->GetStatus().tasks().at("STARTING") == 0) clock_->Advance(milliseconds(10));
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  clock_->Advance(minutes(3));
  EXPECT_EQ(provider_->calls(Verb::kCreate), 0);
}

TEST_F(OneStepTest, CancelledWhileItWaitsToBeCreatedItNeverRuns) {
  options_.providers["fake"].create_concurrency = 1;
  faults_[Verb::kCreate].latency = {seconds(10), seconds(10), 0, seconds(0)};
  Boot();
  const std::string first = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(100));
  const std::string second = Submit(TaskMaker(2)).id();
  clock_->Advance(milliseconds(100));
  EXPECT_EQ(Cancel(second), v1::CancelResult::CANCELLED);
  EXPECT_EQ(WaitEnd(first).state(), v1::TASK_STATE_SUCCEEDED);
  clock_->Advance(minutes(1));
  EXPECT_EQ(Executions(second), 0);
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
}

TEST_F(OneStepTest, CreateIntendedAndFoundRunningIsAdopted) {
  const std::string id = CreatedWithoutAnswer("sim run=30s exit=3");
  Boot();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(WaitEnd(id).exit_code(), 3);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(OneStepTest, CreateIntendedAndFoundEndedHasItsEnd) {
  for (const bool unique : {true, false}) {
    world_options_.name_unique_incl_ended = unique;
    const std::string id = CreatedWithoutAnswer("sim run=1s exit=3");
    now_ += seconds(20);
    Boot();
    const v1::Task task = WaitEnd(id);
    EXPECT_EQ(task.reason(), v1::REASON_EXIT_CODE);
    EXPECT_EQ(task.exit_code(), 3);
    EXPECT_EQ(Executions(id), 1);
    clock_->Advance(minutes(10));
    EXPECT_TRUE(world_->SandboxNames().empty());
    Stop();
    world_.reset();
    fs_.KillProcess();
    ASSERT_TRUE(fs_.Remove("/state/state.db").ok());
    (void)fs_.Remove("/state/state.db-wal");
  }
}

TEST_F(OneStepTest, CreateIntendedAndNoneIsCreatedAgainWhereNamesAreUnique) {
  const std::string id = NeverCreated();
  Boot();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 1);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(OneStepTest, CreateIntendedAndNoneIsUncertainWhereTheyAreNot) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = NeverCreated();
  Boot();
  clock_->Advance(seconds(50));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING) << "create_settle has not passed";
  clock_->Advance(seconds(20));
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_CREATE_UNCERTAIN);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_UNKNOWN);
  EXPECT_EQ(task.attempt(), 1);
  clock_->Advance(minutes(10));
  EXPECT_EQ(provider_->calls(Verb::kCreate), 0);
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
}

TEST_F(OneStepTest, ASandboxThatOnlyLagsIsNotCreatedAgain) {
  world_options_.name_unique_incl_ended = false;
  world_options_.create_list_lag = seconds(40);
  const std::string id = CreatedWithoutAnswer("sim run=5m exit=3");
  Boot();
  clock_->Advance(seconds(60));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  Cancel(id);
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(OneStepTest, ALostAnswerIsSettledByLookingWithoutARestart) {
  for (const bool unique : {true, false}) {
    world_options_.name_unique_incl_ended = unique;
    faults_[Verb::kCreate].answer_lost = 1.0;
    options_.create_timeout = seconds(5);
    Boot();
    const std::string id = Submit(TaskMaker(unique ? 1 : 2).Command("sim run=20s exit=3")).id();
    EXPECT_EQ(WaitEnd(id).exit_code(), 3);
    EXPECT_EQ(Executions(id), 1);
    Stop();
    world_.reset();
  }
}

TEST_F(OneStepTest, AnAnswerThatProvesNothingWasMadeWithdrawsTheIntent) {
  faults_[Verb::kCreate].errors.push_back({.probability = 1.0, .error_class = pb::CAPACITY});
  options_.retry_initial = seconds(10);
  options_.max_attempts = 10;
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
  provider_->options()[Verb::kCreate] = {};
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(OneStepTest, ARefusalAfterALostAnswerProvesNothing) {
  options_.create_timeout = seconds(60);
  Boot();
  provider_->SetReach(FakeProvider::Reach::kHangs);
  const std::string id = Submit(TaskMaker(1).Command("sim run=10m")).id();
  clock_->Advance(milliseconds(100));
  provider_->SetReach(FakeProvider::Reach::kUp);
  provider_->options()[Verb::kCreate].errors.push_back(
      {.probability = 1.0, .error_class = pb::QUOTA});
  clock_->Advance(seconds(110));
  EXPECT_EQ(provider_->calls(Verb::kCreate), 1) << "the first one may still arrive";
  clock_->Advance(seconds(40));
  EXPECT_GE(provider_->calls(Verb::kCreate), 2);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  provider_->options()[Verb::kCreate] = {};
  clock_->Advance(seconds(20));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Executions(id), 1);
}

// The sandbox of a repeated create runs, ends and is destroyed, and then the first one arrives.
TEST_F(OneStepTest, ACreateIsNotRepeatedWhileTheFirstOneMayStillArrive) {
  faults_[Verb::kCreate].latency = {seconds(50), seconds(50), 0, seconds(0)};
  options_.create_timeout = seconds(2);
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(seconds(1));
  faults_ = {};
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  clock_->Advance(minutes(5));
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(OneStepTest, AnAuthErrorIsTheEnd) {
  faults_[Verb::kCreate].errors.push_back({.probability = 1.0, .error_class = pb::AUTH});
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1)).id());
  EXPECT_EQ(task.state(), v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.reason(), v1::REASON_AUTH);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
}

TEST_F(OneStepTest, ACancelOfAnUncertainCreateFindsAndStopsIt) {
  const std::string id = CreatedWithoutAnswer("sim run=1h");
  faults_[Verb::kFind].latency = {seconds(3), seconds(3), 0, seconds(0)};
  Boot();
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_TRUE(world_->RunningExecIds().empty());
  clock_->Advance(seconds(10));
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(OneStepTest, ACancelOfACreateThatNeverCameIsCompleteOnceNothingCanComeAnyMore) {
  const std::string id = NeverCreated();
  faults_[Verb::kFind].errors.push_back({.probability = 1.0});
  Boot();
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  provider_->options()[Verb::kFind] = {};
  clock_->Advance(seconds(30));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Executions(id), 0);
}

TEST_F(OneStepTest, HandedOverBeforeItsCreateLeftItIsQueuedAgain) {
  world_options_.name_unique_incl_ended = false;
  commit_delay_ = [] { return seconds(1); };
  Boot();
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(1).Build());
  core_->Submit(std::move(items), [](absl::StatusOr<v1::SubmitTasksResponse>) {});
  while (core_->GetStatus().tasks().at("STARTING") == 0) clock_->Advance(milliseconds(10));
  ASSERT_TRUE(HandOver(seconds(20)));
  EXPECT_EQ(provider_->calls(Verb::kCreate), 0);
  commit_delay_ = nullptr;
  Restart();
  clock_->Advance(seconds(10));
  EXPECT_EQ(core_->GetStatus().tasks().at("SUCCEEDED"), 1);
}

TEST_F(OneStepTest, AStartDeadlineIsKeptUntilTheIntent) {
  options_.providers["fake"].create_concurrency = 1;
  faults_[Verb::kCreate].latency = {seconds(10), seconds(10), 0, seconds(0)};
  Boot();
  Submit(TaskMaker(1));
  clock_->Advance(milliseconds(100));
  const std::string late = Submit(TaskMaker(2).Deadline(clock_->Now() + absl::Seconds(5))).id();
  const v1::Task task = WaitEnd(late);
  EXPECT_EQ(task.reason(), v1::REASON_EXPIRED);
  clock_->Advance(minutes(1));
  EXPECT_EQ(Executions(late), 0);
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
}

TEST_F(OneStepTest, OfWhichNothingIsHeardEndsFenced) {
  options_.create_timeout = seconds(10);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10h start_silent")).id();
  clock_->Advance(minutes(3));
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_START_FAILED);
  EXPECT_NE(task.user_code_started(), v1::USER_CODE_STARTED_NO);
  EXPECT_TRUE(world_->RunningExecIds().empty());
}

}  // namespace
}  // namespace boxkeeper::daemon
