// One reader's place in a task's output. A part of LogAdapter.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "daemon/wiring/log_adapter.h"

namespace boxkeeper::daemon {

// Reads the spool while it is there (which is as long as the task is known), at most one piece at a
// time.
class SpoolLogStream final : public LogStream {
 public:
  using DescribeTask = std::function<boost::asio::awaitable<absl::StatusOr<LogTask>>()>;

  SpoolLogStream(LogAdapter& adapter, const base::TaskId& id, DescribeTask describe,
                 std::function<LogEnd()> end, v1::ReadLogRequest request);
  ~SpoolLogStream() override;

  boost::asio::awaitable<absl::StatusOr<v1::ReadLogResponse>> Next() override;
  // The task is compacted: nothing comes any more.
  void Forget(const base::TaskId& id) { forgotten_ = forgotten_ || id == id_; }

 private:
  boost::asio::awaitable<absl::Status> Begin();
  // Takes up what is known of the task now.
  boost::asio::awaitable<absl::Status> Describe();
  // Takes up the stream's final size, once it is known.
  boost::asio::awaitable<absl::Status> NoteEnd();
  boost::asio::awaitable<absl::StatusOr<logs::LogChunk>> Read();
  boost::asio::awaitable<absl::StatusOr<uint64_t>> Spooled();

  LogAdapter& adapter_;
  const base::TaskId id_;
  const DescribeTask describe_;
  const std::function<LogEnd()> end_;
  const v1::ReadLogRequest request_;
  const logs::Stream stream_;
  logs::LogSource source_;
  uint64_t offset_ = 0;
  bool begun_ = false;
  bool forgotten_ = false;
};

}  // namespace boxkeeper::daemon
