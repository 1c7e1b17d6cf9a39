// The crash table (design section 4) from the attested start on: running, stopping, cleanup, and
// sandboxes that no task holds. The daemon died, and finds this.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

namespace pb = ::boxkeeper::provider::v1;
using providers::testing::AuditEntry;
using std::chrono::hours;
using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class RunTableTest : public CoreTest {
 protected:
  RunTableTest() { options_.poll_interval = seconds(5); }

  std::string Running(const std::string& command) {
    Boot();
    const std::string id = Submit(TaskMaker(1).Command(command)).id();
    clock_->Advance(seconds(1));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
    return id;
  }

  int Audited(AuditEntry::Kind kind, const std::string& detail = "") const {
    int count = 0;
    for (const AuditEntry& entry : world_->audit()) {
      if (entry.kind == kind && (detail.empty() || entry.detail == detail)) ++count;
    }
    return count;
  }
};

TEST_F(RunTableTest, RunningAndPresentIsWatchedOn) {
  const std::string id = Running("sim run=30s exit=3");
  Restart();
  clock_->Advance(seconds(1));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_EQ(WaitEnd(id).exit_code(), 3);
  EXPECT_EQ(Executions(id), 1);
}

TEST_F(RunTableTest, RunningAndEndedHasItsExitRecord) {
  const std::string id = Running("sim run=30s signal=9 out=1000");
  Stop();
  now_ += hours(1);
  Boot();
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.reason(), v1::REASON_SIGNAL);
  EXPECT_EQ(task.signal(), 9);
  EXPECT_EQ(task.log().stdout_bytes(), 1000);
}

TEST_F(RunTableTest, RunningAndAbsentTwiceIsLost) {
  world_options_.create_list_lag = seconds(20);
  const std::string id = Running("sim run=1h");
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  Restart();
  clock_->Advance(seconds(15));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING) << "only once, list_lag apart";
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_EQ(task.reason(), v1::REASON_SANDBOX_LOST);
  EXPECT_EQ(task.user_code_started(), v1::USER_CODE_STARTED_YES);
  EXPECT_FALSE(task.has_exit_code());
}

TEST_F(RunTableTest, StoppingRepeatsTheSignalAfterACrash) {
  const std::string id = Running("sim run=1h");
  provider_->options()[Verb::kSignal].errors.push_back({.probability = 1.0});
  Cancel(id);
  clock_->Advance(seconds(5));
  ASSERT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  ASSERT_EQ(Audited(AuditEntry::kSignal), 0);
  Restart();
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Audited(AuditEntry::kSignal), 1);
}

// The answer came, the signal did not arrive.
TEST_F(RunTableTest, StoppingSignalsAgainUntilItEnds) {
  world_options_.kill_latency = seconds(25);
  options_.cancel_grace = seconds(1);
  const std::string id = Running("sim run=1h ignore_term");
  Cancel(id);
  clock_->Advance(seconds(20));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_STOPPING);
  EXPECT_GE(Audited(AuditEntry::kSignal, "KILL"), 2);
  EXPECT_GE(Audited(AuditEntry::kFence), 1);
  EXPECT_EQ(WaitEnd(id).state(), v1::TASK_STATE_CANCELLED);
}

TEST_F(RunTableTest, StoppingDestroysWhatCannotBeFenced) {
  world_options_.kill_latency = hours(10);
  options_.cancel_grace = seconds(1);
  const std::string id = Running("sim run=20h ignore_term");
  Cancel(id);
  const v1::Task task = WaitEnd(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_TRUE(world_->RunningExecIds().empty()) << "reported once nothing of it runs";
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(RunTableTest, TerminalWithCleanupPendingAndPresentIsDestroyed) {
  const std::string id = Running("sim run=5s");
  provider_->options()[Verb::kDestroy].errors.push_back({.probability = 1.0});
  WaitEnd(id);
  ASSERT_EQ(world_->SandboxNames().size(), 1u);
  Restart();
  clock_->Advance(seconds(1));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(RunTableTest, TerminalWithCleanupPendingAndAbsentIsDone) {
  const std::string id = Running("sim run=5s");
  provider_->options()[Verb::kDestroy].errors.push_back({.probability = 1.0});
  WaitEnd(id);
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  Restart();
  clock_->Advance(seconds(1));
  EXPECT_EQ(core_->GetStatus().live_sandboxes(), 0);
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_SUCCEEDED);
}

TEST_F(RunTableTest, NothingInTheStoreAndTheLabelVerifiesIsAnOrphan) {
  Boot();
  const base::SandboxId id{rng_->NewId()};
  world_->AddForeign(naming_.Name(id), naming_.Labels(id, "fake", 0, 1, {}));
  Restart();
  clock_->Advance(options_.orphan_grace - seconds(1));
  EXPECT_EQ(world_->SandboxNames().size(), 1u);
  clock_->Advance(options_.poll_interval + seconds(2));
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(RunTableTest, NothingInTheStoreAndTheLabelDoesNotVerifyIsNeverTouched) {
  Boot();
  world_->AddForeign("somebody-elses", {{"boxkeeper.sandbox", "forged"}});
  const base::SandboxId copied{rng_->NewId()};
  world_->AddForeign(naming_.Name(copied), {});
  Restart();
  clock_->Advance(hours(2));
  EXPECT_EQ(world_->SandboxNames().size(), 2u);
  EXPECT_EQ(Audited(AuditEntry::kDestroy), 0);
  EXPECT_EQ(Audited(AuditEntry::kSignal), 0);
}

TEST_F(RunTableTest, AVerifiedLabelOfAHigherEpochHoldsEverythingBack) {
  Boot();
  const base::SandboxId known{rng_->NewId()};
  const base::SandboxId later{rng_->NewId()};
  world_->AddForeign(naming_.Name(known), naming_.Labels(known, "fake", 0, 1, {}));
  world_->AddForeign(naming_.Name(later), naming_.Labels(later, "fake", 0, 99, {}));
  Restart();
  clock_->Advance(hours(1));
  EXPECT_EQ(world_->SandboxNames().size(), 2u);
  EXPECT_FALSE(core_->ready());
}

}  // namespace
}  // namespace boxkeeper::daemon
