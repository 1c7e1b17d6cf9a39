// Tasks that end without a log: their exit record is stored and LOG_COMPLETE told as for all
// others, few at a time.
#include <map>

#include "daemon/core/testing/core_fixture.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;

using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;

// Stores nothing until it is told to.
class HeldLogPort final : public LogPort {
 public:
  asio::awaitable<absl::StatusOr<provider::v1::SpoolPaths>> PrepareSpool(base::TaskId) override {
    co_return provider::v1::SpoolPaths();
  }
  void Pull(const base::TaskId&, OutputSource) override {}
  asio::awaitable<DrainedOutput> Drain(base::TaskId, OutputSource, OutputEnd) override {
    co_return DrainedOutput();
  }
  void Hurry(const base::TaskId&) override {}
  void Track(LogTask task) override { tracked.emplace(task.id.ToString(), task.generation); }
  void NoteEnd(const base::TaskId& id, LogEnd end) override {
    ends[id.ToString()] = end.exit_record(nullptr);
    whys[id.ToString()] = end.why;
  }
  void Forget(const base::TaskId& id) override {
    tracked.erase(id.ToString());
    ends.erase(id.ToString());
  }
  std::string LogPath(const LogTask&) const override { return "path"; }
  absl::StatusOr<std::unique_ptr<LogStream>> Open(
      const base::TaskId&, std::function<asio::awaitable<absl::StatusOr<LogTask>>()>,
      std::function<LogEnd()>, v1::ReadLogRequest) override {
    return absl::UnimplementedError("");
  }
  asio::awaitable<absl::StatusOr<v1::OutputsStatus>> ListArtifacts(base::TaskId, bool) override {
    co_return absl::UnimplementedError("");
  }
  std::unique_ptr<ArtifactStream> OpenArtifact(base::TaskId, bool,
                                               v1::ReadArtifactRequest) override {
    return nullptr;
  }

  std::map<std::string, int64_t> tracked;  // by id
  std::map<std::string, std::string> ends;
  std::map<std::string, std::string> whys;
};

class ExitRecordTest : public CoreTest {
 protected:
  ExitRecordTest() {
    make_log_port_ = [this]() -> LogPort* {
      port_ = std::make_unique<HeldLogPort>();
      return port_.get();
    };
    drop_log_port_ = [this] { port_.reset(); };
  }
  ~ExitRecordTest() override {
    Stop();
    drop_log_port_ = nullptr;  // the base stops once more, without this part
  }

  // The store takes what the port has. How many that were.
  size_t StoreAll() {
    const std::map<std::string, std::string> ends = std::exchange(port_->ends, {});
    for (const auto& [id, text] : ends) {
      core_->LogComplete(port_->tracked.at(id));
      port_->tracked.erase(id);
    }
    clock_->Advance(milliseconds(10));
    return ends.size();
  }

  // Tasks that wait, as the daemon drains.
  std::vector<std::string> SubmitWaiting(int count) {
    EXPECT_TRUE(Await(core_->Drain(v1::DrainRequest())).ok());
    std::vector<std::string> ids;
    for (int i = 1; i <= count; ++i) ids.push_back(Submit(TaskMaker(i).Owner("o")).id());
    return ids;
  }
  void CancelAll(bool suppress_events = false) {
    v1::CancelTasksRequest request;
    request.mutable_filter();
    request.set_suppress_events(suppress_events);
    EXPECT_TRUE(Await(core_->CancelTasks(request)).ok());
    clock_->Advance(milliseconds(10));
  }
  int CountLogComplete() {
    int count = 0;
    for (const v1::Event& event : Events("o")) {
      if (event.type() == v1::EVENT_TYPE_LOG_COMPLETE) ++count;
      EXPECT_EQ(event.task().log().complete(), event.type() == v1::EVENT_TYPE_LOG_COMPLETE);
    }
    return count;
  }
  // Told to be stored, after the end.
  void ExpectRecorded(const std::string& id) {
    const v1::Task before = Get(id);
    EXPECT_FALSE(before.log().complete());
    ASSERT_TRUE(port_->ends.contains(id));
    EXPECT_NE(port_->ends[id].find(v1::Reason_Name(before.reason())), std::string::npos);
    EXPECT_NE(port_->whys[id].find("the command was never started"), std::string::npos);
    EXPECT_EQ(StoreAll(), 1u);
    EXPECT_TRUE(Get(id).log().complete());
    const std::vector<v1::Event> events = Events("o");
    ASSERT_GE(events.size(), 2u);
    EXPECT_EQ(events[events.size() - 2].type(), v1::EVENT_TYPE_STATE);
    EXPECT_EQ(events[events.size() - 2].task().state(), before.state());
    EXPECT_EQ(events.back().type(), v1::EVENT_TYPE_LOG_COMPLETE);
    EXPECT_TRUE(events.back().task().log().complete());
  }

  std::unique_ptr<HeldLogPort> port_;
};

TEST_F(ExitRecordTest, OfATaskThatWasCancelledInTheQueue) {
  Boot();
  const std::vector<std::string> ids = SubmitWaiting(1);
  EXPECT_EQ(Cancel(ids[0]), v1::CancelResult::CANCELLED);
  ExpectRecorded(ids[0]);
}

TEST_F(ExitRecordTest, OfATaskThatExpired) {
  Boot();
  const std::string id =
      Submit(TaskMaker(1).Owner("o").Deadline(clock_->Now() - absl::Hours(1))).id();
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_EXPIRED);
  ExpectRecorded(id);
}

TEST_F(ExitRecordTest, OfATaskWhoseSandboxCouldNotBeMade) {
  Boot();
  provider_->options()[testing::Verb::kCreate].errors.push_back(
      {.probability = 1.0, .error_class = provider::v1::IMAGE_NOT_FOUND});
  const std::string id = Submit(TaskMaker(1).Owner("o")).id();
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_IMAGE_NOT_FOUND);
  ExpectRecorded(id);
}

TEST_F(ExitRecordTest, OfATaskThatDidNotStart) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Owner("o").Command("sim start_fails")).id();
  EXPECT_EQ(WaitEnd(id).reason(), v1::REASON_START_FAILED);
  ExpectRecorded(id);
}

TEST_F(ExitRecordTest, ManyAreCancelledAtOnceAndStoredFewAtATime) {
  Boot();
  const std::vector<std::string> ids = SubmitWaiting(200);
  CancelAll();
  for (const std::string& id : ids) EXPECT_EQ(Get(id).state(), v1::TASK_STATE_CANCELLED);
  // The store is down: a few are on their way, whatever time passes.
  clock_->Advance(seconds(600));
  EXPECT_EQ(port_->tracked.size(), 4u);
  EXPECT_EQ(CountLogComplete(), 0);
  size_t stored = 0;
  for (size_t some = StoreAll(); some > 0; some = StoreAll()) {
    EXPECT_LE(some, 4u);
    stored += some;
  }
  EXPECT_EQ(stored, ids.size());
  EXPECT_EQ(CountLogComplete(), 200);
}

TEST_F(ExitRecordTest, WhatWasNotStoredIsTakenUpByTheNextStart) {
  Boot();
  SubmitWaiting(20);
  CancelAll();
  EXPECT_EQ(StoreAll(), 4u);
  Restart();
  EXPECT_EQ(port_->tracked.size(), 4u);
  while (StoreAll() > 0) {
  }
  EXPECT_EQ(CountLogComplete(), 20);
  Restart();
  EXPECT_TRUE(port_->tracked.empty());
  EXPECT_EQ(CountLogComplete(), 20);
}

// The store never came back.
TEST_F(ExitRecordTest, CompactionMakesWayForTheNext) {
  options_.retention = options_.unacked_retention = seconds(60);
  Boot();
  SubmitWaiting(20);
  CancelAll();
  clock_->Advance(options_.unacked_retention + seconds(10));
  EXPECT_TRUE(port_->tracked.empty());
  const std::string id = Submit(TaskMaker(100).Owner("o")).id();
  EXPECT_EQ(Cancel(id), v1::CancelResult::CANCELLED);
  clock_->Advance(milliseconds(10));
  EXPECT_TRUE(port_->ends.contains(id));
}

TEST_F(ExitRecordTest, NoEventIsSentToAClientThatWantsNone) {
  Boot();
  const std::vector<std::string> ids = SubmitWaiting(1);
  CancelAll(/*suppress_events=*/true);
  EXPECT_EQ(StoreAll(), 1u);
  EXPECT_TRUE(Get(ids[0]).log().complete());
  EXPECT_EQ(CountLogComplete(), 0);
}

// Told with LOG_COMPLETE, and not by the end before it, however late that is read.
TEST_F(ExitRecordTest, TellsWhatTheSpoolLost) {
  Boot();
  const v1::SubmitResult task = Submit(TaskMaker(1).Owner("o"));
  WaitEnd(task.id());
  store::v1::LogRecord record;
  record.set_generation(task.generation());
  record.set_complete(true);
  record.set_lost("stdout: 7 bytes");
  EXPECT_TRUE(Await(core_->RecordLog(record)).ok());
  Restart();
  EXPECT_EQ(StoreAll(), 1u);
  EXPECT_EQ(Get(task.id()).log().incomplete(), "stdout: 7 bytes");
  for (const v1::Event& event : Events("o")) {
    const bool last = event.type() == v1::EVENT_TYPE_LOG_COMPLETE;
    EXPECT_EQ(event.task().log().incomplete(), last ? "stdout: 7 bytes" : "");
  }
}

}  // namespace
}  // namespace boxkeeper::daemon
