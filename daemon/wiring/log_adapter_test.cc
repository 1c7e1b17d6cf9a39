#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/core/outputs_format.h"
#include "base/sha256.h"
#include "daemon/wiring/testing/log_adapter_fixture.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using logs::RunAwaitable;
using logs::Stream;

using testing::LogAdapterTest;

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
