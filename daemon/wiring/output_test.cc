// Output of a provider without a spool, from the sandbox to the log store: the real core, the real
// log adapter, virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "daemon/core/testing/core_fixture.h"
#include "daemon/wiring/log_adapter.h"
#include "logs/file_store.h"

namespace boxkeeper::daemon {
namespace {

using providers::testing::AuditEntry;
using providers::testing::FakeProvider;
using providers::testing::OutputByte;
using testing::CoreTest;
using testing::milliseconds;
using testing::seconds;
using testing::TaskMaker;
using testing::Verb;

class OutputTest : public CoreTest {
 protected:
  OutputTest() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    std::filesystem::create_directories(folder_ + "/logs");
    make_log_port_ = [this]() -> LogPort* { return MakeAdapter(); };
    drop_log_port_ = [this] {
      adapter_.reset();
      store_in_use_.reset();
    };
    // Ends are seen by looking, too.
    options_.poll_interval = milliseconds(1'000);
  }
  ~OutputTest() override {
    Stop();
    drop_log_port_ = nullptr;  // the base stops once more, without this part
    std::filesystem::remove_all(folder_);
  }

  LogPort* MakeAdapter() {
    auto store =
        logs::FileStore::Create({*files_, io_->get_executor()}, "file://" + folder_ + "/logs");
    EXPECT_TRUE(store.ok()) << store.status();
    store_in_use_ = *std::move(store);
    LogAdapterOptions options;
    options.spool_dir = folder_ + "/spool";
    options.max_bytes_per_task = max_bytes_;
    adapter_ = std::make_unique<LogAdapter>(
        LogAdapterDeps{.clock = *clock_,
                       .rng = *rng_,
                       .files = *files_,
                       .store = *store_in_use_,
                       .events = *core_,
                       .metrics = *metrics_,
                       .loop = io_->get_executor(),
                       .pool = io_->get_executor(),
                       .fatal = [](absl::Status status) { FAIL() << status; }},
        options);
    return adapter_.get();
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string Spooled(const std::string& id, const std::string& stream = "stdout") {
    return Read(absl::StrCat(folder_, "/spool/", id, "/", stream));
  }
  std::string Stored(const v1::Task& task, const std::string& stream = "stdout") {
    return Read(absl::StrCat(folder_, "/logs/", task.log().path(), "/", stream));
  }
  static std::string Printed(int64_t size) {
    std::string text;
    for (int64_t i = 0; i < size; ++i) text.push_back(OutputByte(i));
    return text;
  }

  // The task once its log is stored.
  v1::Task WaitLog(const std::string& id) {
    v1::WaitTaskRequest request;
    request.add_ids(id);
    request.set_until(v1::WaitTaskRequest::LOG_COMPLETE);
    auto response = Await(core_->WaitTask(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->tasks(0) : v1::Task();
  }

  bool WasDestroyed() {
    const auto& audit = world_->audit();
    return std::any_of(audit.begin(), audit.end(),
                       [](const AuditEntry& entry) { return entry.kind == AuditEntry::kDestroy; });
  }

  std::string folder_ = "/tmp/bk-output-XXXXXX";
  std::unique_ptr<base::FileSystem> files_ = base::MakeRealFileSystem();
  int64_t max_bytes_ = 0;
  std::unique_ptr<logs::FileStore> store_in_use_;
  std::unique_ptr<LogAdapter> adapter_;
};

TEST_F(OutputTest, IsThereWhileTheTaskRunsAndWholeInTheEnd) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10s out=1000 err=300")).id();
  clock_->Advance(seconds(5));
  const std::string half = Spooled(id);
  EXPECT_GT(half.size(), 200u);
  EXPECT_LT(half.size(), 600u);
  EXPECT_EQ(half, Printed(static_cast<int64_t>(half.size())));
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.log().stdout_bytes(), 1000);
  EXPECT_EQ(task.log().stderr_bytes(), 300);
  EXPECT_EQ(task.log().incomplete(), "");
  EXPECT_EQ(Stored(task), Printed(1000));
  EXPECT_EQ(Stored(task, "stderr"), Printed(300));
  clock_->Advance(seconds(5));
  EXPECT_TRUE(WasDestroyed());
}

TEST_F(OutputTest, OneThatEndsAtOnceHasItsOutput) {
  Boot();
  const v1::Task task = WaitLog(Submit(TaskMaker(1).Command("sim out=100000 exit=3")).id());
  EXPECT_EQ(task.exit_code(), 3);
  EXPECT_EQ(Stored(task), Printed(100'000));
}

TEST_F(OutputTest, OneStepLaunchesHaveTheirs) {
  world_options_.one_step = true;
  Boot();
  const v1::Task task = WaitLog(Submit(TaskMaker(1).Command("sim run=3s out=500")).id());
  EXPECT_EQ(Stored(task), Printed(500));
}

TEST_F(OutputTest, TheEndIsToldAndTheSandboxGoesOnlyWhenTheOutputIsHere) {
  Boot();
  provider_->options()[Verb::kReadOutput].errors = {{.probability = 1}};
  const std::string id = Submit(TaskMaker(1).Command("sim run=2s out=1000")).id();
  clock_->Advance(seconds(8));
  EXPECT_EQ(Get(id).state(), v1::TASK_STATE_RUNNING);
  EXPECT_FALSE(WasDestroyed());
  provider_->options()[Verb::kReadOutput].errors.clear();
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.log().incomplete(), "");
  EXPECT_EQ(Stored(task), Printed(1000));
}

TEST_F(OutputTest, WhatCannotBeFetchedIsGivenUpAndTheTaskSaysSo) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10s out=1000")).id();
  clock_->Advance(seconds(5));
  provider_->options()[Verb::kReadOutput].errors = {{.probability = 1}};
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_NE(task.log().incomplete(), "");
  EXPECT_GT(task.log().stdout_bytes(), 200);
  EXPECT_LT(task.log().stdout_bytes(), 1000);
  EXPECT_EQ(Stored(task), Printed(task.log().stdout_bytes()));
  EXPECT_NE(Read(absl::StrCat(folder_, "/logs/_boxkeeper/", id, "/exit.json")).find("incomplete"),
            std::string::npos);
}

TEST_F(OutputTest, OfAVanishedSandboxWhatWasFetchedIsTheLog) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=60s out=6000")).id();
  clock_->Advance(seconds(20));
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_LOST);
  EXPECT_NE(task.log().incomplete(), "");
  EXPECT_GT(task.log().stdout_bytes(), 1500);
  EXPECT_EQ(Stored(task), Printed(task.log().stdout_bytes()));
}

TEST_F(OutputTest, OneThatVanishesAfterItsAttestedEndKeepsItsEnd) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10s out=1000")).id();
  clock_->Advance(seconds(8));
  provider_->options()[Verb::kReadOutput].errors = {{.probability = 1}};
  clock_->Advance(seconds(4));
  ASSERT_TRUE(world_->Vanish(world_->SandboxNames().front()));
  provider_->options()[Verb::kReadOutput].errors.clear();
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_NE(task.log().incomplete(), "");
  EXPECT_EQ(Stored(task), Printed(task.log().stdout_bytes()));
}

TEST_F(OutputTest, ACancelledOnesIsFetchedUpToItsEnd) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=1000s out=100000")).id();
  clock_->Advance(seconds(20));
  EXPECT_EQ(Cancel(id), v1::CancelResult::STOPPING);
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(task.log().incomplete(), "");
  EXPECT_GE(task.log().stdout_bytes(), 1990);
  EXPECT_EQ(Stored(task), Printed(task.log().stdout_bytes()));
}

TEST_F(OutputTest, ATimeoutThatFallsDueWhileTheOutputIsFetchedDoesNotChangeTheEnd) {
  Boot();
  const std::string id =
      Submit(TaskMaker(1).Owner("o").Timeout(1).Command("sim run=900ms out=1000")).id();
  provider_->options()[Verb::kReadOutput].latency = {.min = seconds(9), .max = seconds(9)};
  options_.cancel_grace = milliseconds(0);
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  for (const v1::Event& event : Events("o")) {
    EXPECT_NE(event.task().state(), v1::TASK_STATE_STOPPING);
  }
}

TEST_F(OutputTest, ACommandThatCannotStartHasNone) {
  Boot();
  const v1::Task task = WaitEnd(Submit(TaskMaker(1).Command("sim start_fails out=1000")).id());
  EXPECT_EQ(task.reason(), v1::REASON_START_FAILED);
  EXPECT_EQ(provider_->calls(Verb::kReadOutput), 0);
}

TEST_F(OutputTest, TheLimitDropsTheMiddle) {
  max_bytes_ = 40'000;
  Boot();
  const v1::Task task = WaitLog(Submit(TaskMaker(1).Command("sim run=20s out=200000")).id());
  EXPECT_EQ(task.log().stdout_bytes(), 200'000);
  EXPECT_GT(task.log().dropped_bytes(), 150'000);
  EXPECT_EQ(task.log().incomplete(), "");
  const std::string stored = Stored(task);
  EXPECT_NE(stored.find("[boxkeeper: dropped "), std::string::npos);
  EXPECT_EQ(stored.substr(0, 10'000), Printed(10'000));
  EXPECT_EQ(stored.substr(stored.size() - 10'000), Printed(200'000).substr(190'000));
}

// kill -9 again and again, at other moments each time, through start, run, drain and shipping.
TEST_F(OutputTest, EveryByteIsStoredOnceWhereverTheDaemonDies) {
  for (int shift = 0; shift < 40; ++shift) {
    SCOPED_TRACE(shift);
    Stop();
    world_.reset();
    fs_.KillProcess();
    faults_[Verb::kReadOutput].answer_lost = 0.1;
    faults_[Verb::kReadOutput].latency = {.min = milliseconds(1), .max = milliseconds(40)};
    Boot();
    const auto number = static_cast<uint64_t>(shift + 1);
    const std::string id =
        Submit(TaskMaker(number).Command("sim run=700ms out=50000 err=700")).id();
    clock_->Advance(milliseconds(20));
    for (int life = 0; life < 12; ++life) {
      clock_->Advance(milliseconds(37 + 5 * shift + 11 * life));
      Restart();
    }
    const v1::Task task = WaitLog(id);
    EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED) << task.message();
    EXPECT_EQ(task.log().incomplete(), "");
    EXPECT_EQ(Stored(task), Printed(50'000));
    EXPECT_EQ(Stored(task, "stderr"), Printed(700));
    EXPECT_EQ(Executions(id), 1);
  }
}

TEST_F(OutputTest, AProviderAwayForAWhileIsAskedAgain) {
  Boot();
  const std::string id = Submit(TaskMaker(1).Command("sim run=10s out=1000")).id();
  clock_->Advance(seconds(3));
  provider_->SetReach(FakeProvider::Reach::kRefuses);
  clock_->Advance(seconds(120));
  provider_->SetReach(FakeProvider::Reach::kUp);
  const v1::Task task = WaitLog(id);
  EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.log().incomplete(), "");
  EXPECT_EQ(Stored(task), Printed(1000));
}

}  // namespace
}  // namespace boxkeeper::daemon
