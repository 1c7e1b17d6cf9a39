// What the readers of a task's output have in common. A part of LogAdapter.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "daemon/wiring/log_adapter.h"

namespace boxkeeper::daemon {

// The adapter knows it while it is open, and fetches the output of its task: now, and often while
// it is followed.
class OpenLogStream : public LogStream {
 public:
  using DescribeTask = std::function<boost::asio::awaitable<absl::StatusOr<LogTask>>()>;

  OpenLogStream(LogAdapter& adapter, const base::TaskId& id, DescribeTask describe,
                std::function<LogEnd()> end, v1::ReadLogRequest request);
  ~OpenLogStream() override;

  // The task is compacted: nothing comes any more.
  void Forget(const base::TaskId& id) { forgotten_ = forgotten_ || id == id_; }

 protected:
  // The stream's length once the task has ended; nullopt: it has not. Of a lost task nobody
  // attested the sizes: what was spooled is what there is.
  boost::asio::awaitable<absl::StatusOr<std::optional<uint64_t>>> FinalSize(logs::Stream stream);
  static absl::Status Forgotten();

  LogAdapter& adapter_;
  const base::TaskId id_;
  const DescribeTask describe_;
  const std::function<LogEnd()> end_;
  const v1::ReadLogRequest request_;
  bool forgotten_ = false;
};

}  // namespace boxkeeper::daemon
