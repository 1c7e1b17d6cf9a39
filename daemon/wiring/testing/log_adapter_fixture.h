// A log adapter on real files and virtual time, with the core's part played.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/fake_clock.h"
#include "daemon/wiring/log_adapter.h"
#include "logs/file_store.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::daemon::testing {

// The core's part: remembers the newest record of each stream, and what is complete.
class FakeLogEvents final : public LogEvents {
 public:
  boost::asio::awaitable<absl::Status> RecordLog(store::v1::LogRecord record) override {
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
    EXPECT_TRUE(logs::RunAwaitable(loop_, clock_, adapter_->PrepareSpool(task_.id)).ok());
    return logs::SpoolWriter(*files_, folder_ + "/spool/" + task_.id.ToString());
  }

  std::unique_ptr<LogStream> Read(v1::ReadLogRequest request) {
    request.set_id(task_.id.ToString());
    auto describe = [this]() -> boost::asio::awaitable<absl::StatusOr<LogTask>> {
      co_return task_;
    };
    auto stream =
        adapter_->Open(task_.id, std::move(describe), [this] { return end_; }, std::move(request));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }

  v1::ReadLogResponse Next(LogStream& stream) {
    auto piece = logs::RunAwaitable(loop_, clock_, stream.Next());
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

}  // namespace boxkeeper::daemon::testing
