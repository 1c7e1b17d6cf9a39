#include "daemon/wiring/open_log_stream.h"

#include <algorithm>

#include "base/status_macros.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

OpenLogStream::OpenLogStream(LogAdapter& adapter, const base::TaskId& id, DescribeTask describe,
                             std::function<LogEnd()> end, v1::ReadLogRequest request)
    : adapter_(adapter),
      id_(id),
      describe_(std::move(describe)),
      end_(std::move(end)),
      request_(std::move(request)) {
  adapter_.streams_.insert(this);
  request_.follow() ? adapter_.puller_.Follow(id_, 1) : adapter_.puller_.Hurry(id_);
}

OpenLogStream::~OpenLogStream() {
  if (request_.follow()) adapter_.puller_.Follow(id_, -1);
  adapter_.streams_.erase(this);
}

awaitable<absl::StatusOr<std::optional<uint64_t>>> OpenLogStream::FinalSize(logs::Stream stream) {
  const LogEnd end = end_();
  if (!end.ended) co_return std::nullopt;
  const absl::StatusOr<uint64_t> spooled =
      co_await adapter_.reader_.SpooledBytes(adapter_.Files(id_), stream);
  CO_RETURN_IF_ERROR(spooled.status());
  const int64_t known = stream == logs::Stream::kStdout ? end.stdout_bytes : end.stderr_bytes;
  co_return std::max(*spooled, static_cast<uint64_t>(known));
}

absl::Status OpenLogStream::Forgotten() {
  return ApiError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                  "the task was compacted while its log was read");
}

}  // namespace boxkeeper::daemon
