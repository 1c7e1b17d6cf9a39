#include "daemon/wiring/spool_log_stream.h"

#include <utility>

#include "base/status_macros.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

SpoolLogStream::SpoolLogStream(LogAdapter& adapter, const base::TaskId& id, DescribeTask describe,
                               std::function<LogEnd()> end, v1::ReadLogRequest request)
    : OpenLogStream(adapter, id, std::move(describe), std::move(end), std::move(request)),
      stream_(request_.stream() == v1::ReadLogRequest::STDERR ? logs::Stream::kStderr
                                                              : logs::Stream::kStdout) {}

awaitable<absl::Status> SpoolLogStream::Describe() {
  absl::StatusOr<LogTask> task = co_await describe_();
  CO_RETURN_IF_ERROR(task.status());
  source_.spool = adapter_.Files(id_);
  source_.redactor = adapter_.RedactorOf(*task);
  source_.stored = logs::MakeStoredLog(adapter_.LayoutOf(*task), adapter_.LogPath(*task),
                                       task->generation, task->records);
  co_return absl::OkStatus();
}

awaitable<absl::Status> SpoolLogStream::Begin() {
  absl::Status described = co_await Describe();
  CO_RETURN_IF_ERROR(described);
  absl::Status known = co_await NoteEnd();
  CO_RETURN_IF_ERROR(known);
  offset_ = static_cast<uint64_t>(request_.offset());
  if (request_.from_case() == v1::ReadLogRequest::kTailLines) {
    const auto lines = static_cast<uint64_t>(request_.tail_lines());
    absl::StatusOr<uint64_t> from = co_await adapter_.reader_.TailOffset(source_, stream_, lines);
    CO_RETURN_IF_ERROR(from.status());
    offset_ = *from;
  }
  begun_ = true;
  co_return absl::OkStatus();
}

awaitable<absl::Status> SpoolLogStream::NoteEnd() {
  if (source_.final_size.has_value()) co_return absl::OkStatus();
  absl::StatusOr<std::optional<uint64_t>> size = co_await FinalSize(stream_);
  CO_RETURN_IF_ERROR(size.status());
  source_.final_size = *size;
  co_return absl::OkStatus();
}

awaitable<absl::StatusOr<uint64_t>> SpoolLogStream::Spooled() {
  return adapter_.reader_.SpooledBytes(source_.spool, stream_);
}

awaitable<absl::StatusOr<logs::LogChunk>> SpoolLogStream::Read() {
  absl::Status known = co_await NoteEnd();
  CO_RETURN_IF_ERROR(known);
  absl::StatusOr<logs::LogChunk> chunk =
      co_await adapter_.reader_.Read(source_, stream_, offset_, logs::LogReader::kMaxChunk);
  if (!absl::IsNotFound(chunk.status()) || source_.stored.complete) co_return chunk;
  // The log was stored meanwhile, and its spool went because space was short.
  absl::Status described = co_await Describe();
  CO_RETURN_IF_ERROR(described);
  co_return co_await adapter_.reader_.Read(source_, stream_, offset_, logs::LogReader::kMaxChunk);
}

awaitable<absl::StatusOr<v1::ReadLogResponse>> SpoolLogStream::Next() {
  if (!begun_) {
    absl::Status begun = co_await Begin();
    if (!begun.ok()) co_return begun;
  }
  v1::ReadLogResponse response;
  while (true) {
    // The size first: what comes between the two looks is then no reason to sleep.
    absl::StatusOr<uint64_t> spooled = co_await Spooled();
    if (!spooled.ok()) co_return spooled.status();
    absl::StatusOr<logs::LogChunk> chunk = co_await Read();
    if (forgotten_) co_return Forgotten();
    if (!chunk.ok()) co_return chunk.status();
    const bool nothing = chunk->data.empty() && chunk->dropped_bytes == 0 && !chunk->end;
    if (!nothing || !request_.follow()) {
      response.set_offset(static_cast<int64_t>(chunk->offset));
      response.set_dropped_bytes(static_cast<int64_t>(chunk->dropped_bytes));
      response.set_end(chunk->end || nothing);
      offset_ = chunk->next();
      response.set_data(std::move(chunk->data));
      co_return response;
    }
    // Known since it was looked at above? Its wake-up came while nobody waited.
    if (!source_.final_size && end_().ended) continue;
    absl::Status grown = co_await adapter_.growth_.WaitForGrowth(
        id_.ToString(), source_.spool.path(stream_), *spooled);
    if (!grown.ok()) co_return grown;
  }
}

}  // namespace boxkeeper::daemon
