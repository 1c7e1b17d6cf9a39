// The event stream's promises (I7): ordered, without gaps, resumable anywhere, repeated until
// acknowledged; bounded where nobody reads; adoption in one piece.
#include "daemon/core/states.h"
#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;

using std::chrono::minutes;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;

class EventsTest : public CoreTest {
 protected:
  // A mix of ends, some after a crash.
  void Live(int tasks, const std::string& owner) {
    for (int i = 1; i <= tasks; ++i) {
      const char* commands[] = {"sim", "sim run=300ms exit=3", "sim run=1s signal=9",
                                "sim start_fails"};
      Submit(TaskMaker(i).Owner(owner).Command(commands[i % 4]));
      clock_->Advance(milliseconds(i * 7 % 50));
      if (i % 10 == 0) Restart();
    }
    clock_->Advance(seconds(30));
  }

  std::vector<std::string> Texts(const std::vector<v1::Event>& events) {
    std::vector<std::string> texts;
    for (const v1::Event& event : events) texts.push_back(event.SerializeAsString());
    return texts;
  }
};

TEST_F(EventsTest, EachTasksStatesComeInOrderWithoutAGap) {
  Boot();
  Live(40, "o");
  std::map<std::string, v1::TaskState> last;
  int64_t position = 0;
  for (const v1::Event& event : Events("o")) {
    const int64_t at = std::stoll(event.cursor().substr(1));
    EXPECT_GT(at, position);
    position = at;
    const v1::TaskState state = event.task().state();
    auto [it, first] = last.emplace(event.task().id(), state);
    if (first) {
      EXPECT_EQ(state, v1::TASK_STATE_QUEUED);
      continue;
    }
    bool edge = false;
    for (const Edge& one : Edges()) edge |= one.from == it->second && one.to == state;
    EXPECT_TRUE(edge) << StateName(it->second) << " to " << StateName(state);
    it->second = state;
  }
  EXPECT_EQ(last.size(), 40u);
  for (const auto& [id, state] : last) EXPECT_TRUE(IsTerminal(state)) << id;
}

TEST_F(EventsTest, EveryCursorIsAPlaceToResumeAlsoAfterARestart) {
  Boot();
  Live(12, "o");
  const std::vector<v1::Event> all = Events("o");
  const std::vector<std::string> texts = Texts(all);
  for (const bool restarted : {false, true}) {
    if (restarted) Restart();
    for (size_t i = 0; i < all.size(); ++i) {
      const std::vector<std::string> rest = Texts(Events("o", all[i].cursor()));
      EXPECT_EQ(rest, std::vector<std::string>(texts.begin() + i + 1, texts.end()));
    }
  }
}

TEST_F(EventsTest, WhatIsNotAcknowledgedIsRepeatedByteForByteAfterARestart) {
  Boot();
  Live(12, "o");
  const std::vector<v1::Event> all = Events("o");
  const std::vector<std::string> texts = Texts(all);
  Acknowledge("o", all[9].cursor());
  for (int i = 0; i < 3; ++i) {
    Restart();
    EXPECT_EQ(Texts(Events("o")), std::vector<std::string>(texts.begin() + 10, texts.end()));
  }
}

// Nothing is told that a crash could take back.
TEST_F(EventsTest, OnlyDurableEventsAreTold) {
  Boot();
  commit_delay_ = [] { return seconds(5); };
  Restart();
  std::vector<PackedTask> items;
  items.push_back(TaskMaker(1).Owner("o").Build());
  core_->Submit(std::move(items), [](absl::StatusOr<v1::SubmitTasksResponse>) {});
  clock_->Advance(seconds(4));
  EXPECT_TRUE(Events("o").empty());
  clock_->Advance(seconds(10));
  EXPECT_FALSE(Events("o").empty());
}

TEST_F(EventsTest, AfterCursorGoneTheListsSnapshotResumesWithoutAGap) {
  options_.retention = seconds(5);
  options_.unacked_retention = seconds(20);
  Boot();
  WaitEnd(Submit(TaskMaker(1).Owner("o")).id());
  const std::string old = Events("o").front().cursor();
  clock_->Advance(minutes(1));
  const std::string running = Submit(TaskMaker(2).Owner("o").Command("sim run=10m")).id();
  clock_->Advance(seconds(1));
  v1::WatchEventsRequest watch;
  watch.set_owner("o");
  watch.set_cursor(old);
  auto reader = core_->WatchEvents(watch);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(absl::IsOutOfRange(Await((*reader)->Next(10, seconds(1))).status()));

  v1::ListTasksRequest list;
  list.mutable_filter()->set_owner("o");
  auto listed = Await(core_->ListTasks(list));
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->tasks_size(), 1);
  EXPECT_EQ(listed->tasks(0).state(), v1::TASK_STATE_RUNNING);
  // Between the list and the watch.
  Cancel(running);
  const std::string later = Submit(TaskMaker(3).Owner("o")).id();
  clock_->Advance(seconds(3));
  std::vector<std::pair<std::string, v1::TaskState>> told;
  for (const v1::Event& event : Events("o", listed->snapshot_cursor())) {
    told.emplace_back(event.task().id(), event.task().state());
  }
  const auto has = [&told](const std::string& id, v1::TaskState state) {
    return std::find(told.begin(), told.end(), std::pair(id, state)) != told.end();
  };
  EXPECT_FALSE(has(running, v1::TASK_STATE_RUNNING)) << "the list told that";
  EXPECT_TRUE(has(running, v1::TASK_STATE_STOPPING));
  EXPECT_TRUE(has(running, v1::TASK_STATE_CANCELLED));
  EXPECT_TRUE(has(later, v1::TASK_STATE_QUEUED));
  EXPECT_TRUE(has(later, v1::TASK_STATE_SUCCEEDED));
}

// A subscriber that takes nothing any more (the service cuts it after event_stall_limit): nothing
// is kept for it beyond what retention keeps for everybody.
TEST_F(EventsTest, AStalledSubscriberCostsNoMemoryAndHoldsNobody) {
  options_.retention = seconds(5);
  options_.unacked_retention = seconds(30);
  Boot();
  v1::WatchEventsRequest watch;
  watch.set_owner("slow");
  auto slow = core_->WatchEvents(watch);
  watch.set_owner("quick");
  auto quick = core_->WatchEvents(watch);
  ASSERT_TRUE(slow.ok() && quick.ok());
  ASSERT_TRUE(Await((*slow)->Next(10, milliseconds(1))).ok());
  size_t most = 0;
  size_t events = 0;
  for (int i = 1; i <= 300; ++i) {
    Submit(TaskMaker(2 * i).Owner("slow"));
    Submit(TaskMaker(2 * i + 1).Owner("quick"));
    clock_->Advance(seconds(1));
    while (!(*quick)->AtEnd()) {
      auto batch = Await((*quick)->Next(100, seconds(1)));
      ASSERT_TRUE(batch.ok()) << batch.status();
      events += batch->events().size();
      Acknowledge("quick", batch->events(batch->events_size() - 1).cursor());
    }
    most = std::max(most, core_->Fingerprint().size());
    if (i == 60) EXPECT_GT(most, 0u);
    if (i > 60) EXPECT_LT(core_->Fingerprint().size(), 200'000u);
  }
  EXPECT_EQ(events, 300u * 4);
  EXPECT_TRUE(absl::IsOutOfRange(Await((*slow)->Next(10, seconds(1))).status()))
      << "told that it lost some, never silently";
}

TEST_F(EventsTest, AdoptionIsAllOrNothingWhereverItIsCut) {
  constexpr int kTasks = 20;
  for (int cut = 0; cut < 12; ++cut) {
    Boot();
    v1::AdoptTasksRequest request;
    request.set_new_owner("new");
    for (int i = 1; i <= kTasks; ++i) {
      const TaskMaker task = TaskMaker(cut * kTasks + i).Owner("old").Command("sim run=10h");
      request.add_tasks()->set_id(Submit(task).id());
    }
    clock_->Advance(seconds(1));
    const size_t before = Events("old").size();
    commit_delay_ = [] { return milliseconds(10); };
    Restart();
    bool answered = false;
    asio::co_spawn(*io_, core_->AdoptTasks(request),
                   [&answered](std::exception_ptr, absl::StatusOr<v1::AdoptTasksResponse> done) {
                     answered = done.ok();
                   });
    clock_->Advance(milliseconds(3 * cut));
    const bool told = answered;
    commit_delay_ = nullptr;
    Restart();
    const std::vector<v1::Event> now = Events("new");
    const std::vector<v1::Event> lost = Events("old");
    const int adopted =
        static_cast<int>(std::count_if(now.begin(), now.end(), [](const v1::Event& event) {
          return event.type() == v1::EVENT_TYPE_OWNER_CHANGED;
        }));
    EXPECT_TRUE(adopted == 0 || adopted == kTasks) << adopted;
    EXPECT_TRUE(!told || adopted == kTasks);
    EXPECT_EQ(lost.size(), before + adopted) << "each change is told to both";
    for (const v1::TaskRef& task : request.tasks()) {
      EXPECT_EQ(Get(task.id()).owner(), adopted == 0 ? "old" : "new");
    }
    Stop();
    world_.reset();
    for (const char* path : {"/state/state.db", "/state/state.db-wal"}) (void)fs_.Remove(path);
  }
}

TEST_F(EventsTest, AfterAnAdoptionTheNewOwnerHearsTheEndAndTheOldOneNothingMore) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("old").Command("sim run=60s exit=3")).id();
  clock_->Advance(seconds(1));
  v1::AdoptTasksRequest request;
  request.set_new_owner("new");
  request.add_tasks()->set_id(id);
  ASSERT_TRUE(Await(core_->AdoptTasks(request)).ok());
  Restart();
  EXPECT_EQ(WaitEnd(id).exit_code(), 3);
  EXPECT_EQ(Events("old").back().type(), v1::EVENT_TYPE_OWNER_LOST);
  EXPECT_EQ(Events("new").back().task().exit_code(), 3);
  // Its result waits for the new owner only.
  EXPECT_EQ(Events("new").front().type(), v1::EVENT_TYPE_OWNER_CHANGED);
  EXPECT_EQ(Events("new").front().task().state(), v1::TASK_STATE_RUNNING);
}

}  // namespace
}  // namespace boxkeeper::daemon
