// The crash table (design section 4), rows "create intended" and "handle, no start intent":
// two-step launch. What the daemon finds when it died before the answer to a create.
#include "daemon/core/testing/core_fixture.h"
#include "daemon/core/testing/twin_provider.h"

namespace boxkeeper::daemon {
namespace {

namespace pb = ::boxkeeper::provider::v1;
using providers::testing::FakeProvider;
using std::chrono::hours;
using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::TwinProvider;
using testing::Twins;
using testing::Verb;

class CreateTableTest : public CoreTest {
 protected:
  CreateTableTest() {
    options_.poll_interval = seconds(1);
    wrap_ = [this](std::shared_ptr<providers::Provider> inner) {
      return std::make_shared<TwinProvider>(std::move(inner), twins_);
    };
  }

  // A create on its way that took effect, before the daemon dies.
  std::string CreatedWithoutAnswer(const std::string& command = "sim") {
    faults_[Verb::kCreate].answer_lost = 1.0;
    options_.create_timeout = minutes(10);
    Boot();
    const std::string id = Submit(TaskMaker(1).Command(command)).id();
    // An answer that fails at once is another attempt: until one only hangs.
    for (int i = 0; i < 100'000 && !Hangs(id); ++i) clock_->Advance(milliseconds(10));
    EXPECT_TRUE(Hangs(id));
    faults_[Verb::kCreate] = {};
    return id;
  }

  bool Hangs(const std::string& id) {
    return Get(id).state() == v1::TASK_STATE_CREATING && !world_->SandboxNames().empty();
  }

  // A create on its way that never arrived, before the daemon dies.
  std::string NeverCreated() {
    Boot();
    provider_->SetReach(FakeProvider::Reach::kHangs);
    const std::string id = Submit(TaskMaker(1)).id();
    clock_->Advance(milliseconds(100));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CREATING);
    EXPECT_TRUE(world_->SandboxNames().empty());
    return id;
  }

  // A second sandbox of the only one's name, made `later` than it.
  std::string AddTwin(seconds later, const std::string& handle = "twin") {
    pb::SandboxView view = *world_->ViewByName(world_->SandboxNames().front());
    view.mutable_created_at()->set_seconds(view.created_at().seconds() + later.count());
    view.set_handle(handle);
    view.set_state(pb::SandboxView::CREATED);
    view.clear_exit();
    view.clear_started_marker();
    twins_.views[handle] = view;
    return handle;
  }

  int Creates() const {
    int count = 0;
    for (const auto& entry : world_->audit()) {
      if (entry.kind == providers::testing::AuditEntry::kCreate) ++count;
    }
    return count;
  }

  Twins twins_;
};

TEST_F(CreateTableTest, CreateIntendedAndFoundIsAdoptedAndStarted) {
  const std::string id = CreatedWithoutAnswer();
  const int made = Creates();
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(Creates(), made);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(CreateTableTest, CreateIntendedAndFoundWhereNamesAreNotUniqueIsNotCreatedAgain) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer();
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(provider_->calls(Verb::kCreate), 0);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(CreateTableTest, OfSeveralTheOldestIsTheWinnerAndOnlyItIsStarted) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer("sim run=20s exit=3");
  const std::string spare = AddTwin(seconds(5));
  Restart();
  EXPECT_EQ(WaitEnd(id).exit_code(), 3);
  EXPECT_EQ(Executions(id), 1);
  EXPECT_EQ(std::count(twins_.started.begin(), twins_.started.end(), spare), 0);
  EXPECT_EQ(twins_.destroyed.front(), spare);
  EXPECT_TRUE(twins_.views.empty());
}

TEST_F(CreateTableTest, TheOthersAreSparesAlsoWhereTheyWereMadeFirst) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer();
  const std::string winner = AddTwin(seconds(-5));
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(twins_.started, std::vector<std::string>{winner});
  EXPECT_EQ(Executions(id), 0) << "in the other one nothing is started";
  clock_->Advance(minutes(3));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(twins_.views.empty());
}

TEST_F(CreateTableTest, OfTwoOfOneAgeTheSmallerIdIsTheWinner) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer();
  const std::string winner = AddTwin(seconds(0), "a");  // the other one begins with "fake1:"
  AddTwin(seconds(0), "z");
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(twins_.started, std::vector<std::string>{winner});
}

TEST_F(CreateTableTest, TheWinnerIsInTheJournalBeforeItIsStarted) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer();
  const std::string winner = AddTwin(seconds(-5));
  commit_delay_ = [] { return milliseconds(500); };
  Restart();
  for (int i = 0; i < 1'000 && provider_->calls(Verb::kFind) == 0; ++i) {
    clock_->Advance(milliseconds(1));
  }
  EXPECT_TRUE(twins_.started.empty());
  // By now there is an older one; the choice is made.
  pb::SandboxView older = twins_.views[winner];
  older.set_handle("older");
  older.mutable_created_at()->set_seconds(older.created_at().seconds() - 10);
  twins_.views["older"] = older;
  for (int i = 0; i < 5'000 && twins_.started.empty(); ++i) clock_->Advance(milliseconds(1));
  EXPECT_EQ(twins_.started, std::vector<std::string>{winner});
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(std::count(twins_.started.begin(), twins_.started.end(), "older"), 0);
}

TEST_F(CreateTableTest, ALateSpareIsDestroyedAndTellsNothingOfTheTask) {
  world_options_.name_unique_incl_ended = false;
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=60s exit=3")).id();
  clock_->Advance(seconds(2));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  const std::string spare = AddTwin(seconds(5));
  twins_.views[spare].set_state(pb::SandboxView::ENDED);
  twins_.views[spare].mutable_exit()->set_exit_code(0);
  clock_->Advance(seconds(3));
  EXPECT_EQ(twins_.destroyed, std::vector<std::string>{spare});
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(WaitEnd(id).exit_code(), 3);
}

TEST_F(CreateTableTest, ASpareIsKeptAsLongAsTheWinnerIsNotSeen) {
  world_options_.name_unique_incl_ended = false;
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h")).id();
  clock_->Advance(seconds(2));
  AddTwin(seconds(5));
  twins_.views["twin"].clear_labels();
  clock_->Advance(seconds(200));
  EXPECT_TRUE(twins_.destroyed.empty()) << "a name can be copied by whoever sees it";
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
}

// Where names are given once, a late create of a daemon that was killed finds the name free again
// when its sandbox has vanished. What it makes is not what was started.
TEST_F(CreateTableTest, ALateCreateDoesNotStandInForTheSandboxThatVanished) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1h")).id();
  clock_->Advance(seconds(2));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  const std::string late = AddTwin(seconds(5));
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_SANDBOX_LOST);
  clock_->Advance(minutes(3));
  EXPECT_EQ(twins_.destroyed, std::vector<std::string>{late});
  EXPECT_EQ(Creates(), 1);
}

TEST_F(CreateTableTest, CreateIntendedAndAbsentTwiceIsCreatedAgainUnderItsName) {
  world_options_.name_unique_incl_ended = false;
  world_options_.create_list_lag = seconds(7);
  options_.retry_initial = seconds(1);
  const std::string id = NeverCreated();
  Restart();
  clock_->Advance(seconds(5));
  EXPECT_GE(provider_->calls(Verb::kFind), 1);
  EXPECT_EQ(provider_->calls(Verb::kCreate), 0) << "it may only not be listed yet";
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 1);
  EXPECT_EQ(Creates(), 1);
}

TEST_F(CreateTableTest, CreateIntendedAndAbsentIsCreatedAtOnceWhereNamesAreUnique) {
  const std::string id = NeverCreated();
  Restart();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 1);
  EXPECT_EQ(provider_->calls(Verb::kFind), 0);
}

TEST_F(CreateTableTest, CancelledWhileItIsLookedForLeavesNothing) {
  world_options_.name_unique_incl_ended = false;
  const std::string id = CreatedWithoutAnswer();
  faults_[Verb::kFind].latency = {seconds(2), seconds(2), 0, seconds(0)};
  Restart();
  EXPECT_EQ(Cancel(id), v1::CancelResult::CANCELLED);
  clock_->Advance(minutes(5));
  EXPECT_EQ(Executions(id), 0);
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(CreateTableTest, HandleWithoutStartIntentAndPresentIsStarted) {
  faults_[Verb::kCreate].latency = {seconds(1), seconds(1), 0, seconds(0)};
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(100));
  ASSERT_TRUE(HandOver(seconds(20)));  // the handle is kept, nothing is started
  ASSERT_EQ(Executions(id), 0);
  faults_ = {};
  Restart();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 1);
  EXPECT_EQ(Creates(), 1);
}

TEST_F(CreateTableTest, HandleWithoutStartIntentAndAbsentTwiceIsAnotherAttempt) {
  world_options_.create_list_lag = seconds(3);
  faults_[Verb::kCreate].latency = {seconds(1), seconds(1), 0, seconds(0)};
  Boot();
  const std::string id = Submit(TaskMaker(1)).id();
  clock_->Advance(milliseconds(100));
  ASSERT_TRUE(HandOver(seconds(20)));
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  faults_ = {};
  options_.poll_interval = hours(1);
  Restart();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).attempt(), 1) << "looked up once";
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.attempt(), 2);
  EXPECT_EQ(Executions(id), 1);
}

}  // namespace
}  // namespace boxkeeper::daemon
