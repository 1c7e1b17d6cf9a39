// A store that is older than the world: restored backups (ADR 0010).
#include <map>

#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::CoreTest;
using testing::seconds;
using testing::TaskMaker;

class OlderStoreTest : public CoreTest {
 protected:
  OlderStoreTest() {
    options_.poll_interval = seconds(1);
    options_.orphan_grace = seconds(10);
  }

  using Backup = std::map<std::string, std::string>;
  // Of a daemon that is not running, or killed right here.
  Backup TakeBackup() {
    Stop();
    Backup backup;
    for (const char* path : {"/state/state.db", "/state/state.db-wal"}) {
      if (const auto content = fs_.Content(path); content.ok()) backup[path] = *content;
    }
    Boot();
    return backup;
  }
  void Restore(const Backup& backup) {
    Stop();
    for (const char* path : {"/state/state.db", "/state/state.db-wal"}) {
      (void)fs_.Remove(path);
      const auto kept = backup.find(path);
      if (kept != backup.end()) fs_.SetContent(path, kept->second);
    }
    Boot();
  }

  std::string Running(int number) {
    const std::string id = Submit(TaskMaker(number).Command("sim run=100h")).id();
    clock_->Advance(seconds(2));
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
    return id;
  }

  // An hour with the restored store: what runs is left alone, and it is said.
  void ExpectHeldBack(size_t sandboxes) {
    clock_->Advance(hours(1));
    EXPECT_EQ(world_->SandboxNames().size(), sandboxes);
    EXPECT_FALSE(core_->ready());
    auto listed = Await(core_->ListOrphans({}));
    ASSERT_TRUE(listed.ok());
    EXPECT_GT(listed->higher_epoch(), 0);
    for (const v1::Orphan& orphan : listed->orphans()) {
      EXPECT_EQ(orphan.decision(), v1::Orphan::HELD_BACK) << orphan.explanation();
    }
  }
};

TEST_F(OlderStoreTest, SandboxesOfLaterStartsAreHeldBack) {
  Boot();
  const Backup backup = TakeBackup();
  Restart();
  Restart();
  Running(1);
  Restore(backup);
  ExpectHeldBack(1);
}

// The restored store's next epoch is the lost one's.
TEST_F(OlderStoreTest, SandboxesOfAStartWithOurOwnEpochAreHeldBack) {
  Boot();
  const Backup backup = TakeBackup();
  Running(1);
  const int64_t lost = core_->epoch();
  Restore(backup);
  ASSERT_EQ(core_->epoch(), lost);
  ExpectHeldBack(1);
}

// There was no start since the backup: the restored store's epoch is even higher.
TEST_F(OlderStoreTest, SandboxesMadeAfterABackupOfTheRunningDaemonAreHeldBack) {
  Boot();
  Running(1);
  // A copy of a running daemon's files.
  Backup backup;
  for (const char* path : {"/state/state.db", "/state/state.db-wal"}) {
    if (const auto content = fs_.Content(path); content.ok()) backup[path] = *content;
  }
  const std::string forgotten = Running(2);
  const int64_t lost = core_->epoch();
  Restore(backup);
  ASSERT_GT(core_->epoch(), lost);
  ASSERT_FALSE(IsKept(forgotten));
  ExpectHeldBack(2);
}

TEST_F(OlderStoreTest, ItStaysHeldBackOverRestartsUntilItIsAccepted) {
  Boot();
  const Backup backup = TakeBackup();
  Running(1);
  Restore(backup);
  for (int i = 0; i < 5; ++i) Restart();
  ExpectHeldBack(1);
  auto listed = Await(core_->ListOrphans({}));
  v1::ReapOrphansRequest reap;
  reap.set_accept_epoch(listed->higher_epoch());
  auto reaped = Await(core_->ReapOrphans(reap));
  ASSERT_TRUE(reaped.ok()) << reaped.status();
  EXPECT_GT(reaped->epoch(), listed->higher_epoch());
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(core_->ready());
  Restart();
  clock_->Advance(minutes(1));
  EXPECT_TRUE(core_->ready());
}

TEST_F(OlderStoreTest, WhatWasAcceptedStaysAcceptedAndNewLossesAreSeen) {
  Boot();
  const Backup backup = TakeBackup();
  Running(1);
  Restore(backup);
  clock_->Advance(seconds(20));
  v1::ReapOrphansRequest reap;
  reap.set_accept_epoch(Await(core_->ListOrphans({}))->higher_epoch());
  ASSERT_TRUE(Await(core_->ReapOrphans(reap)).ok());
  const Backup second = TakeBackup();
  Running(2);
  Restore(second);
  ExpectHeldBack(1);
}

// A task that the backup has as queued runs in a sandbox that the restored store has forgotten.
TEST_F(OlderStoreTest, WhatTheBackupHasAsQueuedIsNotStartedUntilItIsAccepted) {
  options_.max_running = 1;
  Boot();
  const std::string first = Running(1);
  const std::string queued = Submit(TaskMaker(2).Command("sim run=100h")).id();
  const Backup backup = TakeBackup();
  Cancel(first);
  clock_->Advance(seconds(30));
  ASSERT_EQ(Get(queued).state(), v1::TASK_STATE_RUNNING);
  Restore(backup);
  Cancel(first);
  clock_->Advance(hours(1));
  EXPECT_EQ(Get(queued).state(), v1::TASK_STATE_QUEUED);
  EXPECT_NE(Get(queued).waiting_for().find("older than the world"), std::string::npos);
  EXPECT_EQ(Executions(queued), 1);
  const std::string later = Submit(TaskMaker(3)).id();
  EXPECT_EQ(WaitEnd(later).state(), v1::TASK_STATE_SUCCEEDED) << "new ones cannot have run";
  Cancel(queued);
  EXPECT_EQ(Get(queued).state(), v1::TASK_STATE_CANCELLED);
  v1::ReapOrphansRequest reap;
  reap.set_accept_epoch(Await(core_->ListOrphans({}))->higher_epoch());
  ASSERT_TRUE(Await(core_->ReapOrphans(reap)).ok());
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(OlderStoreTest, QueuedTasksAreStartedOnceItIsAccepted) {
  Boot();
  const std::string queued = Submit(TaskMaker(1).Deadline(clock_->Now() + absl::Hours(99))).id();
  v1::DrainRequest drain;
  ASSERT_TRUE(Await(core_->Drain(drain)).ok());
  const std::string waiting = Submit(TaskMaker(2)).id();
  const Backup backup = TakeBackup();
  drain.set_off(true);
  ASSERT_TRUE(Await(core_->Drain(drain)).ok());
  Running(3);
  Restore(backup);
  ASSERT_TRUE(Await(core_->Drain(drain)).ok());
  clock_->Advance(minutes(1));
  EXPECT_EQ(Get(waiting).state(), v1::TASK_STATE_QUEUED);
  v1::ReapOrphansRequest reap;
  reap.set_accept_epoch(Await(core_->ListOrphans({}))->higher_epoch());
  ASSERT_TRUE(Await(core_->ReapOrphans(reap)).ok());
  EXPECT_EQ(WaitEnd(waiting).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(WaitEnd(queued).state(), v1::TASK_STATE_SUCCEEDED);
}

// What this store knew and no longer holds is an ordinary orphan, whatever start made it.
TEST_F(OlderStoreTest, ManyStartsWithoutALossAreNoReasonToHoldBack) {
  Boot();
  std::vector<std::string> tasks;
  for (int i = 1; i <= 10; ++i) {
    tasks.push_back(Running(i));
    Restart();
  }
  EXPECT_TRUE(core_->ready());
  for (const std::string& id : tasks) {
    EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
    Cancel(id);
  }
  clock_->Advance(minutes(2));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(core_->ready());
}

TEST_F(OlderStoreTest, TheStartsThatAreRememberedAreBounded) {
  Boot();
  Running(1);
  for (int i = 0; i < 300; ++i) {
    Restart();
    clock_->Advance(seconds(3));
  }
  clock_->Advance(minutes(2));
  EXPECT_TRUE(core_->ready()) << "also for one of a start that is not remembered any more";
  EXPECT_EQ(world_->SandboxNames().size(), 1u);
}

TEST_F(OlderStoreTest, SandboxesOfAnOlderVersionAreJudgedByTheirEpoch) {
  Boot();
  const base::SandboxId id{rng_->NewId()};
  world_->AddForeign(naming_.Name(id), naming_.Labels(id, "fake", 0, core_->epoch(), {}));
  clock_->Advance(seconds(20));
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(core_->ready());
}

}  // namespace
}  // namespace boxkeeper::daemon
