// The crash table (design section 4), rows "start intended": what becomes of a task whose start
// was sent, or may have been, when the daemon died or its answer was lost.
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

class StartTableTest : public CoreTest {
 protected:
  // Only look-ups tell anything: no events, no polls.
  StartTableTest() {
    faults_.events = false;
    options_.poll_interval = hours(1);
  }

  // STARTING, with a start that took effect and whose answer nobody will hear.
  std::string StartedWithoutAnswer(const std::string& command) {
    faults_[Verb::kStart].answer_lost = 1.0;
    options_.start_timeout = minutes(10);
    Boot();
    const std::string id = Submit(TaskMaker(1).Command(command)).id();
    for (int i = 0; i < 1'000 && Executions(id) == 0; ++i) clock_->Advance(milliseconds(10));
    EXPECT_EQ(Executions(id), 1);
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
    Calm();
    return id;
  }

  // STARTING, with a start that was refused without an effect, over and over.
  std::string StartIntendedOnly() {
    faults_[Verb::kStart].errors.push_back({.probability = 1.0, .proves_no_effect = true});
    Boot();
    const std::string id = Submit(TaskMaker(1)).id();
    clock_->Advance(seconds(1));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
    Calm();
    return id;
  }

  // From the next Boot on.
  void Calm() {
    faults_[Verb::kStart] = {};
    options_.start_timeout = seconds(60);
  }
};

TEST_F(StartTableTest, StartIntendedAndProvedThatItBeganIsRunning) {
  const std::string id = StartedWithoutAnswer("sim run=1h");
  Restart();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, StartIntendedAndItsEndIsTheEnd) {
  const std::string id = StartedWithoutAnswer("sim run=1s exit=3");
  Stop();
  now_ += seconds(5);
  Boot();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_EXIT_CODE);
  EXPECT_EQ(task.exit_code(), 3);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, StartIntendedAndProvedNotBegunIsStarted) {
  const std::string id = StartIntendedOnly();
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, StartIntendedAndProvedNotBegunIsStartedAlsoWhereAStartMayRunTwice) {
  world_options_.start_idempotent = false;
  const std::string id = StartIntendedOnly();
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, StartIntendedAndAbsentIsLostWithoutAnotherAttempt) {
  const std::string id = StartedWithoutAnswer("sim run=1h");
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  Restart();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_SANDBOX_LOST);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_UNKNOWN);
  EXPECT_EQ(task.attempt(), 1);
  clock_->Advance(minutes(5));
  EXPECT_EQ(Executions(id), 1);
}

// Nobody can say whether it began, and a start may run twice: fenced, and LOST.
TEST_F(StartTableTest, StartIntendedWithoutProofIsFencedAndLost) {
  world_options_.start_idempotent = false;
  const std::string id = StartedWithoutAnswer("sim run=10h start_silent");
  Restart();
  clock_->Advance(minutes(10));
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_SANDBOX_LOST);
  EXPECT_EQ(task.attempt(), 1);
  EXPECT_EQ(Executions(id), 1);
  EXPECT_TRUE(world_->RunningExecIds().empty());
  clock_->Advance(minutes(2));
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(StartTableTest, AnUnansweredStartIsNotRepeatedWhereItMayRunTwice) {
  world_options_.start_idempotent = false;
  faults_[Verb::kStart].answer_lost = 1.0;
  options_.start_timeout = seconds(10);
  options_.poll_interval = seconds(5);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=30s exit=7")).id();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.exit_code(), 7);
  EXPECT_EQ(provider_->calls(Verb::kStart), 1);
  EXPECT_EQ(Executions(id), 1);
}

// A start that is still on its way while the look-ups show that nothing began yet.
TEST_F(StartTableTest, AStartOnItsWayIsNotOvertakenByASecondOne) {
  world_options_.start_idempotent = false;
  faults_[Verb::kStart].latency = {seconds(30), seconds(30), 0, seconds(0)};
  options_.start_timeout = seconds(1);
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h")).id();
  clock_->Advance(milliseconds(500));
  Calm();
  provider_->options()[Verb::kStart] = {};
  clock_->Advance(minutes(3));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, AStartThatNeverArrivedIsSentAgainOnceNothingCanComeAnyMore) {
  world_options_.start_idempotent = false;
  Boot();
  provider_->SetReach(providers::testing::FakeProvider::Reach::kUp);
  const std::string id = Submit(TaskMaker(1)).id();
  provider_->options()[Verb::kStart].errors.push_back(
      {.probability = 1.0, .proves_no_effect = false, .effect_probability = 0});
  clock_->Advance(seconds(5));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  ASSERT_EQ(provider_->calls(Verb::kStart), 1);
  provider_->options()[Verb::kStart] = {};
  clock_->Advance(seconds(30));
  EXPECT_EQ(provider_->calls(Verb::kStart), 1) << "the first one may still arrive";
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(StartTableTest, ACancelDoesNotWaitForTheProof) {
  world_options_.start_idempotent = false;
  const std::string id = StartedWithoutAnswer("sim run=10h start_silent");
  Restart();
  clock_->Advance(seconds(1));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_STARTING);
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  clock_->Advance(seconds(30));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CANCELLED);
}

}  // namespace
}  // namespace boxkeeper::daemon
