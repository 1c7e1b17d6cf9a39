// Event streams, their floors, and what compaction leaves of a task.
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;

class StreamsTest : public CoreTest {
 protected:
  StreamsTest() { options_.retention = seconds(10); }

  // A task of `owner` that comes, ends, is acknowledged and compacted. Returns its last cursor.
  std::string Pass(int number, const std::string& owner) {
    const std::string id = Submit(TaskMaker(number).Owner(owner)).id();
    WaitEnd(id);
    const std::string last = Events(owner).back().cursor();
    Acknowledge(owner, last);
    clock_->Advance(seconds(30));
    EXPECT_FALSE(IsKept(id));
    return last;
  }

  absl::Status Watch(const std::string& owner, const std::string& cursor) {
    v1::WatchEventsRequest request;
    request.set_owner(owner);
    request.set_cursor(cursor);
    auto reader = core_->WatchEvents(request);
    if (!reader.ok()) return reader.status();
    return Await((*reader)->Next(10, seconds(1))).status();
  }
};

TEST_F(StreamsTest, ANewOwnerDoesNotInheritTheFloorOfAnother) {
  Boot();
  Pass(1, "old");
  EXPECT_TRUE(Watch("new", "").ok());
  Submit(TaskMaker(2).Owner("new"));
  EXPECT_EQ(Events("new").front().task().state(), v1::TASK_STATE_QUEUED);
  Restart();
  EXPECT_EQ(Events("new").front().task().state(), v1::TASK_STATE_QUEUED);
}

TEST_F(StreamsTest, AReaderThatWaitsForItsFirstEventGetsIt) {
  Boot();
  v1::WatchEventsRequest request;
  request.set_owner("new");
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(Await((*reader)->Next(10, milliseconds(10))).ok());
  Pass(1, "old");  // the floor rises meanwhile
  Submit(TaskMaker(2).Owner("new"));
  auto events = Await((*reader)->Next(10, seconds(1)));
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->events(0).task().state(), v1::TASK_STATE_QUEUED);
}

TEST_F(StreamsTest, AFoldedStreamsOldCursorIsGoneAlsoAfterARestart) {
  Boot();
  Submit(TaskMaker(9).Owner("o").Command("sim run=100ms"));
  const std::string first = Events("o").front().cursor();
  WaitEnd(Submit(TaskMaker(8).Owner("o")).id());
  Acknowledge("o", Events("o").back().cursor());
  clock_->Advance(seconds(30));
  Submit(TaskMaker(1).Owner("o").Command("sim run=3600000ms"));  // begins anew
  Pass(2, "other");                                              // rewrites the floors
  EXPECT_EQ(Watch("o", first).code(), absl::StatusCode::kOutOfRange);
  const std::string before = core_->Fingerprint();
  Restart();
  EXPECT_EQ(Watch("o", first).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(core_->Fingerprint(), before);
}

TEST_F(StreamsTest, NothingStaysOfAnOwnerThatIsGone) {
  Boot();
  for (int i = 1; i <= 5; ++i) Pass(i, absl::StrCat("run-", i));
  Restart();
  EXPECT_EQ(core_->Fingerprint().find("stream run-"), std::string::npos) << core_->Fingerprint();
}

TEST_F(StreamsTest, AStreamThatWasReadAtItsEndIsFoldedLater) {
  Boot();
  v1::WatchEventsRequest request;
  request.set_owner("o");
  auto reader = core_->WatchEvents(request);
  ASSERT_TRUE(reader.ok());
  Pass(1, "o");
  EXPECT_NE(core_->Fingerprint().find("stream o"), std::string::npos);
  reader->reset();
  clock_->Advance(seconds(120));
  EXPECT_EQ(core_->Fingerprint().find("stream o"), std::string::npos);
}

TEST_F(StreamsTest, ATaskThatEndedInSilenceIsCompactedToo) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("o").Command("sim run=3600000ms")).id();
  clock_->Advance(seconds(1));
  Acknowledge("o", Events("o").back().cursor());
  v1::CancelTasksRequest cancel;
  cancel.add_tasks()->set_id(id);
  cancel.set_suppress_events(true);
  ASSERT_TRUE(Await(core_->CancelTasks(cancel)).ok());
  WaitEnd(id);
  clock_->Advance(seconds(60));
  EXPECT_FALSE(IsKept(id));
}

TEST_F(StreamsTest, AKeyIsLiveAlsoWhenANewerTaskOfItIsCompacted) {
  Boot();
  const std::string live = Submit(TaskMaker(1).Key("k").Command("sim run=3600000ms")).id();
  clock_->Advance(seconds(1));
  const std::string next = Submit(TaskMaker(2).Key("k").OnLiveKey(v1::ON_LIVE_KEY_AFTER)).id();
  Cancel(next);
  clock_->Advance(seconds(15));
  ASSERT_FALSE(IsKept(next));
  const v1::SubmitResult third = Submit(TaskMaker(3).Key("k"));
  EXPECT_EQ(third.outcome(), v1::SubmitResult::ALREADY_LIVE);
  EXPECT_EQ(third.id(), live);
}

TEST_F(StreamsTest, UnacknowledgedEventsAreCounted) {
  options_.retention = std::chrono::hours(1);
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o").Command("sim run=100ms")).id());
  WaitEnd(Submit(TaskMaker(2)).id());  // nobody's
  EXPECT_EQ(core_->GetStatus().unacknowledged_events(), 5);
  Acknowledge("o", Events("o")[1].cursor());
  EXPECT_EQ(core_->GetStatus().unacknowledged_events(), 3);
  Restart();
  EXPECT_EQ(core_->GetStatus().unacknowledged_events(), 3);
}

}  // namespace
}  // namespace boxkeeper::daemon
