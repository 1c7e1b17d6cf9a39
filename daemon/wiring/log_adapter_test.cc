#include "daemon/wiring/log_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/core/outputs_format.h"
#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "logs/file_store.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using logs::RunAwaitable;
using logs::Stream;

// The core's part: remembers the newest record of each stream, and what is complete.
class FakeLogEvents final : public LogEvents {
 public:
  awaitable<absl::Status> RecordLog(store::v1::LogRecord record) override {
    if (unknown) co_return absl::NotFoundError("compacted");
    records.push_back(record);
    co_return absl::OkStatus();
  }
  void LogComplete(int64_t generation) override { complete.push_back(generation); }

  bool unknown = false;
  std::vector<store::v1::LogRecord> records;
  std::vector<int64_t> complete;
};

class LogAdapterTest : public ::testing::Test {
 protected:
  LogAdapterTest()
      : clock_(loop_), files_(base::MakeRealFileSystem()), rng_(base::MakeSeededRng(1)) {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    auto store =
        logs::FileStore::Create({*files_, loop_.get_executor()}, "file://" + folder_ + "/logs");
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    MakeAdapter();
    task_.generation = 7;
    task_.id.id.bytes[0] = 1;
    task_.key.set_namespace_("default");
    task_.key.set_name("t");
  }

  ~LogAdapterTest() override {
    adapter_.reset();
    std::filesystem::remove_all(folder_);
  }

  void MakeAdapter() {
    adapter_.reset();
    LogAdapterOptions options;
    options.spool_dir = folder_ + "/spool";
    options.spool_max_bytes = spool_max_bytes_;
    adapter_ = std::make_unique<LogAdapter>(
        LogAdapterDeps{.clock = clock_,
                       .rng = *rng_,
                       .files = *files_,
                       .store = *store_,
                       .events = events_,
                       .metrics = metrics_,
                       .loop = loop_.get_executor(),
                       .pool = loop_.get_executor(),
                       .fatal = [](absl::Status status) { FAIL() << status; }},
        options);
  }

  logs::SpoolWriter Spool() {
    EXPECT_TRUE(RunAwaitable(loop_, clock_, adapter_->PrepareSpool(task_.id)).ok());
    return logs::SpoolWriter(*files_, folder_ + "/spool/" + task_.id.ToString());
  }

  std::unique_ptr<LogStream> Read(v1::ReadLogRequest request) {
    request.set_id(task_.id.ToString());
    auto describe = [this]() -> awaitable<absl::StatusOr<LogTask>> { co_return task_; };
    auto stream =
        adapter_->Open(task_.id, std::move(describe), [this] { return end_; }, std::move(request));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }

  v1::ReadLogResponse Next(LogStream& stream) {
    auto piece = RunAwaitable(loop_, clock_, stream.Next());
    EXPECT_TRUE(piece.ok()) << piece.status();
    return piece.value_or(v1::ReadLogResponse());
  }

  void End(int64_t stdout_bytes) {
    end_.ended = true;
    end_.stdout_bytes = stdout_bytes;
    adapter_->NoteEnd(task_.id, end_);
  }

  std::string Stored() {
    std::ifstream file(folder_ + "/logs/" + adapter_->LogPath(task_) + "/stdout");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string folder_ = "/tmp/bk-logs-XXXXXX";
  boost::asio::io_context loop_;
  base::FakeClock clock_;
  std::unique_ptr<base::FileSystem> files_;
  std::unique_ptr<base::Rng> rng_;
  std::unique_ptr<logs::FileStore> store_;
  int64_t spool_max_bytes_ = 0;
  Metrics metrics_;
  FakeLogEvents events_;
  LogTask task_;
  LogEnd end_;
  std::unique_ptr<LogAdapter> adapter_;
};

TEST_F(LogAdapterTest, ShipsALogAndSaysWhenItIsComplete) {
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "hello\n", 1);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(Stored(), "hello\n");
  EXPECT_TRUE(events_.complete.empty());
  spool.Write(Stream::kStdout, "bye\n", 2);
  End(10);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(Stored(), "hello\nbye\n");
  EXPECT_EQ(events_.complete, std::vector<int64_t>{7});
  adapter_->RefreshMetrics();
  EXPECT_EQ(metrics_.log_bytes_stored, 10u);
}

TEST_F(LogAdapterTest, ALogIsCompleteWhenTheOutputsAreStoredToo) {
  task_.has_outputs = true;
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "hello\n", 1);
  const std::string path = folder_ + "/spool/" + task_.id.ToString() + "/outputs";
  base::OutputsManifest manifest;
  manifest.files.push_back(
      {.path = "dist/a", .size = 1, .mode = 0644, .sha256 = base::Sha256("A")});
  std::ofstream(path) << base::EncodeOutputsManifest(manifest);
  std::ofstream(path + ".data") << "B";  // damaged: it cannot be stored
  v1::OutputsStatus told;
  end_.exit_record = [&told](const v1::OutputsStatus* outputs) {
    if (outputs != nullptr) told = *outputs;
    return std::string("{}");
  };
  End(6);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_EQ(Stored(), "hello\n");
  EXPECT_TRUE(events_.complete.empty());
  EXPECT_EQ(adapter_->outputs_status().failing, 1u);
  std::ofstream(path + ".data") << "A";
  clock_.Advance(std::chrono::seconds(61));
  EXPECT_EQ(events_.complete, std::vector<int64_t>{7});
  EXPECT_EQ(told.artifacts(0).path(), "dist/a");
  const auto listed = RunAwaitable(loop_, clock_, adapter_->ListArtifacts(task_.id, true));
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->artifacts_size(), 1);
  v1::ReadArtifactRequest request;
  request.set_path("dist/a");
  auto stream = adapter_->OpenArtifact(task_.id, true, request);
  const auto piece = RunAwaitable(loop_, clock_, stream->Next());
  ASSERT_TRUE(piece.ok()) << piece.status();
  EXPECT_EQ(piece->data(), "A");
  EXPECT_TRUE(piece->end());
  request.set_path("other");
  stream = adapter_->OpenArtifact(task_.id, true, request);
  EXPECT_TRUE(absl::IsNotFound(RunAwaitable(loop_, clock_, stream->Next()).status()));
}

TEST_F(LogAdapterTest, WhatALostTaskSpooledIsStoredThoughNobodyAttestedItsSize) {
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "last words", 1);
  End(0);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(Stored(), "last words");
  auto stream = Read({});
  EXPECT_EQ(Next(*stream).data(), "last words");
}

TEST_F(LogAdapterTest, ARecordOfACompactedTaskIsNoFailureOfTheStore) {
  auto spool = Spool();
  adapter_->Track(task_);
  events_.unknown = true;
  spool.Write(Stream::kStdout, "late", 1);
  End(4);
  clock_.Advance(std::chrono::seconds(5));  // fatal would fail the test
}

TEST_F(LogAdapterTest, ReadsFromAnOffsetToWhatThereIs) {
  auto spool = Spool();
  spool.Write(Stream::kStdout, "0123456789", 1);
  v1::ReadLogRequest request;
  request.set_offset(4);
  auto stream = Read(request);
  const auto piece = Next(*stream);
  EXPECT_EQ(piece.offset(), 4);
  EXPECT_EQ(piece.data(), "456789");
  const auto last = Next(*stream);
  EXPECT_TRUE(last.end());
  EXPECT_EQ(last.offset(), 10);
}

TEST_F(LogAdapterTest, ReadsTheLastLines) {
  auto spool = Spool();
  spool.Write(Stream::kStdout, "a\nb\nc\n", 1);
  v1::ReadLogRequest request;
  request.set_tail_lines(2);
  auto stream = Read(request);
  EXPECT_EQ(Next(*stream).data(), "b\nc\n");
}

TEST_F(LogAdapterTest, ATaskThatHasNotBegunHasAnEmptyLogSoFar) {
  auto stream = Read({});
  EXPECT_TRUE(Next(*stream).end());
}

TEST_F(LogAdapterTest, FollowsFromBeforeTheBeginningToTheEnd) {
  v1::ReadLogRequest request;
  request.set_follow(true);
  auto stream = Read(request);
  std::string seen;
  bool ended = false;
  auto follow = [&]() -> awaitable<void> {
    while (!ended) {
      auto piece = co_await stream->Next();
      EXPECT_TRUE(piece.ok()) << piece.status();
      if (!piece.ok()) co_return;
      seen += piece->data();
      ended = piece->end();
    }
  };
  boost::asio::co_spawn(loop_, follow, [](std::exception_ptr error) { EXPECT_FALSE(error); });
  clock_.Advance(std::chrono::seconds(1));
  auto spool = Spool();
  spool.Write(Stream::kStdout, "one ", 1);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(seen, "one ");
  spool.Write(Stream::kStdout, "two", 2);
  End(7);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(seen, "one two");
  EXPECT_TRUE(ended);
}

TEST_F(LogAdapterTest, AFollowerMissesNoEndThatComesWhileItReads) {
  auto spool = Spool();
  spool.Write(Stream::kStdout, "text", 1);
  v1::ReadLogRequest request;
  request.set_id(task_.id.ToString());
  request.set_offset(4);
  request.set_follow(true);
  auto describe = [this]() -> awaitable<absl::StatusOr<LogTask>> { co_return task_; };
  // The task ends right after the follower has asked whether it has.
  auto end = [this] {
    const LogEnd before = end_;
    if (!end_.ended) End(4);
    return before;
  };
  auto stream = adapter_->Open(task_.id, std::move(describe), std::move(end), std::move(request));
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_TRUE(Next(**stream).end());
}

TEST_F(LogAdapterTest, AFollowerOfACompactedTaskIsTold) {
  v1::ReadLogRequest request;
  request.set_follow(true);
  auto stream = Read(request);
  absl::Status ended;
  auto follow = [&]() -> awaitable<void> {
    auto piece = co_await stream->Next();
    ended = piece.status();
  };
  boost::asio::co_spawn(loop_, follow, [](std::exception_ptr error) { EXPECT_FALSE(error); });
  clock_.Advance(std::chrono::seconds(1));
  adapter_->Forget(task_.id);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(absl::IsNotFound(ended)) << ended;
}

TEST_F(LogAdapterTest, SecretsAreOverwrittenInWhatIsStoredAndReadAlsoAfterTheyAreErased) {
  task_.secrets = {"s3cret-value"};
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "<s3cret-value>", 1);
  End(14);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(Stored(), "<************>");
  auto with = Read({});
  EXPECT_EQ(Next(*with).data(), "<************>");

  task_.secrets.clear();
  task_.records = events_.records;
  auto without = Read({});
  EXPECT_EQ(Next(*without).data(), "<************>");
}

TEST_F(LogAdapterTest, ForgettingRemovesTheSpool) {
  auto spool = Spool();
  spool.Write(Stream::kStdout, "x", 1);
  adapter_->Forget(task_.id);
  clock_.RunUntilIdle();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/spool/" + task_.id.ToString()));
}

TEST_F(LogAdapterTest, TheSpoolSaysLimitAndOverflow) {
  LogAdapterOptions options;
  options.spool_dir = "/elsewhere";  // a reload does not move the spool
  options.max_bytes_per_task = 1000;
  options.overflow = provider::v1::SpoolPaths::BLOCK;
  adapter_->SetOptions(options);
  const auto paths = RunAwaitable(loop_, clock_, adapter_->PrepareSpool(task_.id));
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_EQ(paths->stdout_path(), folder_ + "/spool/" + task_.id.ToString() + "/stdout");
  EXPECT_EQ(paths->max_bytes(), 1000);
  EXPECT_EQ(paths->overflow(), provider::v1::SpoolPaths::BLOCK);
}

// Reading goes on from the store, also for who began before the log was stored.
TEST_F(LogAdapterTest, AFullSpoolDropsStoredLogsAndReadersGoOnFromTheStore) {
  spool_max_bytes_ = 1 << 20;
  MakeAdapter();
  logs::SpoolWriter writer = Spool();
  adapter_->Track(task_);
  const std::string text = std::string(2 << 20, 'x') + "\nlast\n";
  writer.Write(Stream::kStdout, text, 1);
  auto early = Read({});
  EXPECT_EQ(Next(*early).offset(), 0);
  clock_.Advance(std::chrono::seconds(3));
  EXPECT_TRUE(metrics_.spool_full);
  EXPECT_NE(adapter_->SpoolWarning(), "");
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/spool/.full"));
  End(static_cast<int64_t>(text.size()));
  clock_.Advance(std::chrono::seconds(3));
  EXPECT_EQ(events_.complete, std::vector<int64_t>{7});
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/spool/" + task_.id.ToString()));
  EXPECT_FALSE(metrics_.spool_full);
  EXPECT_EQ(metrics_.spools_dropped, 1u);
  EXPECT_EQ(adapter_->SpoolWarning(), "");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/spool/.full"));

  task_.records = events_.records;
  v1::ReadLogResponse piece = Next(*early);
  EXPECT_GT(piece.offset(), 0);
  EXPECT_EQ(piece.data(), text.substr(static_cast<size_t>(piece.offset()), piece.data().size()));
  EXPECT_FALSE(piece.data().empty());
  v1::ReadLogRequest tail;
  tail.set_tail_lines(1);
  auto late = Read(tail);
  EXPECT_EQ(Next(*late).data(), "last\n");
}

}  // namespace
}  // namespace boxkeeper::daemon
