// One reader's place in a task's output. A part of LogAdapter.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "daemon/wiring/open_log_stream.h"

namespace boxkeeper::daemon {

// Reads the spool while it is there (which is as long as the task is known), at most one piece at a
// time.
class SpoolLogStream final : public OpenLogStream {
 public:
  SpoolLogStream(LogAdapter& adapter, const base::TaskId& id, DescribeTask describe,
                 std::function<LogEnd()> end, v1::ReadLogRequest request);

  boost::asio::awaitable<absl::StatusOr<v1::ReadLogResponse>> Next() override;

 private:
  boost::asio::awaitable<absl::Status> Begin();
  // Takes up what is known of the task now.
  boost::asio::awaitable<absl::Status> Describe();
  // Takes up the stream's final size, once it is known.
  boost::asio::awaitable<absl::Status> NoteEnd();
  boost::asio::awaitable<absl::StatusOr<logs::LogChunk>> Read();
  boost::asio::awaitable<absl::StatusOr<uint64_t>> Spooled();

  const logs::Stream stream_;
  logs::LogSource source_;
  uint64_t offset_ = 0;
  bool begun_ = false;
};

}  // namespace boxkeeper::daemon
