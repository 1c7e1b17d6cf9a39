// Sandboxes that no task holds: who is told what, and what is destroyed.

#include <gtest/gtest.h>

#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using testing::CoreTest;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class OrphansTest : public CoreTest {
 protected:
  OrphansTest() {
    options_.poll_interval = seconds(1);
    options_.orphan_grace = seconds(10);
  }

  // A sandbox that this deployment made in `epoch`, and that the store does not know.
  std::string AddOurs(int64_t epoch, const base::Birth& birth = {}) {
    const base::SandboxId id{rng_->NewId()};
    world_->AddForeign(naming_.Name(id), naming_.Labels(id, "fake", 0, epoch, birth));
    return naming_.Name(id);
  }

  v1::ListOrphansResponse List() {
    auto listed = Await(core_->ListOrphans({}));
    EXPECT_TRUE(listed.ok()) << listed.status();
    return listed.ok() ? *listed : v1::ListOrphansResponse();
  }
  absl::StatusOr<v1::ReapOrphansResponse> Reap(bool dry_run, int64_t accept_epoch = 0) {
    v1::ReapOrphansRequest request;
    request.set_dry_run(dry_run);
    request.set_accept_epoch(accept_epoch);
    return Await(core_->ReapOrphans(request));
  }
  static std::map<std::string, v1::Orphan::Decision> Decisions(
      const google::protobuf::RepeatedPtrField<v1::Orphan>& orphans) {
    std::map<std::string, v1::Orphan::Decision> decisions;
    for (const v1::Orphan& orphan : orphans) decisions[orphan.name()] = orphan.decision();
    return decisions;
  }
};

TEST_F(OrphansTest, EachIsExplained) {
  Boot();
  const std::string ours = AddOurs(1);
  world_->AddForeign("somebody-elses", {});
  const base::SandboxId copied{rng_->NewId()};
  world_->AddForeign(naming_.Name(copied), {});
  const std::string held = Submit(TaskMaker(1).Command("sim run=3600000ms")).id();
  clock_->Advance(seconds(4));
  const v1::ListOrphansResponse listed = List();
  EXPECT_EQ(Decisions(listed.orphans()), (std::map<std::string, v1::Orphan::Decision>{
                                             {ours, v1::Orphan::WAITING},
                                             {"somebody-elses", v1::Orphan::FOREIGN},
                                             {naming_.Name(copied), v1::Orphan::FOREIGN}}))
      << "and the sandbox of " << held << " is not among them";
  for (const v1::Orphan& orphan : listed.orphans()) {
    EXPECT_NE(orphan.explanation(), "");
    if (orphan.name() != ours) continue;
    EXPECT_TRUE(orphan.has_unknown_since());
    EXPECT_EQ(orphan.epoch(), 1);
  }
  EXPECT_EQ(listed.higher_epoch(), 0);
}

TEST_F(OrphansTest, ReapDestroysOnlyWhatIsDue) {
  options_.poll_interval = seconds(60);  // the daemon's own reaper has looked once
  Boot();
  clock_->Advance(seconds(1));
  const std::string old = AddOurs(1);
  world_->AddForeign("somebody-elses", {});
  clock_->Advance(seconds(60));  // seen by the second poll
  const std::string fresh = AddOurs(1);
  clock_->Advance(seconds(11));
  auto dry = Reap(true);
  ASSERT_TRUE(dry.ok()) << dry.status();
  EXPECT_EQ(Decisions(dry->orphans())[old], v1::Orphan::DUE);
  EXPECT_EQ(world_->SandboxNames().size(), 3u);
  auto reaped = Reap(false);
  ASSERT_TRUE(reaped.ok()) << reaped.status();
  EXPECT_EQ(Decisions(reaped->orphans()),
            (std::map<std::string, v1::Orphan::Decision>{{old, v1::Orphan::DESTROYED},
                                                         {fresh, v1::Orphan::WAITING},
                                                         {"somebody-elses", v1::Orphan::FOREIGN}}));
  EXPECT_EQ(world_->SandboxNames().size(), 2u);
}

TEST_F(OrphansTest, AnOlderStoreHoldsBackUntilTheEpochIsAccepted) {
  Boot();
  const std::string later = AddOurs(99);
  const std::string earlier = AddOurs(1);
  clock_->Advance(seconds(60));
  EXPECT_FALSE(core_->ready());
  v1::ListOrphansResponse listed = List();
  EXPECT_EQ(listed.higher_epoch(), 99);
  EXPECT_EQ(Decisions(listed.orphans()),
            (std::map<std::string, v1::Orphan::Decision>{{later, v1::Orphan::HELD_BACK},
                                                         {earlier, v1::Orphan::HELD_BACK}}));
  EXPECT_EQ(Reap(false)->orphans(0).decision(), v1::Orphan::HELD_BACK);
  EXPECT_EQ(Reap(false, 98).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(world_->SandboxNames().size(), 2u);

  auto dry = Reap(true, 99);
  ASSERT_TRUE(dry.ok()) << dry.status();
  EXPECT_EQ(Decisions(dry->orphans())[later], v1::Orphan::DUE);
  EXPECT_FALSE(core_->ready());

  auto reaped = Reap(false, 99);
  ASSERT_TRUE(reaped.ok()) << reaped.status();
  EXPECT_EQ(reaped->epoch(), 100);
  EXPECT_TRUE(world_->SandboxNames().empty());
  EXPECT_TRUE(core_->ready());
  EXPECT_EQ(Reap(false, 99).status().code(), absl::StatusCode::kFailedPrecondition);
  Restart();
  EXPECT_EQ(core_->epoch(), 101);
}

TEST_F(OrphansTest, TasksGoOnWhileAnEpochIsAccepted) {
  Boot();
  const std::string running = Submit(TaskMaker(1).Command("sim run=200000ms exit=3")).id();
  clock_->Advance(seconds(2));
  AddOurs(99);
  clock_->Advance(seconds(60));
  ASSERT_TRUE(Reap(false, 99).ok());
  const std::string later = Submit(TaskMaker(2)).id();
  clock_->Advance(seconds(300));
  EXPECT_EQ(Get(running).exit_code(), 3);
  EXPECT_EQ(Get(later).state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_TRUE(world_->SandboxNames().empty());
}

TEST_F(OrphansTest, AProviderThatCannotBeAskedIsSaid) {
  Boot();
  v1::ListOrphansRequest request;
  request.set_provider("nonesuch");
  EXPECT_EQ(Await(core_->ListOrphans(request)).status().code(), absl::StatusCode::kNotFound);
  v1::ReapOrphansRequest reap;
  reap.set_provider("nonesuch");
  EXPECT_EQ(Await(core_->ReapOrphans(reap)).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace boxkeeper::daemon
