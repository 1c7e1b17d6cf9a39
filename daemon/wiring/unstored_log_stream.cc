#include "daemon/wiring/unstored_log_stream.h"

#include <chrono>
#include <utility>

#include "base/status_macros.h"
#include "base/wait_list.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

namespace {

// So long the store is asked for a piece on its way.
constexpr std::chrono::seconds kAskStore{2};

// Of the store; outlives a reader that went away.
struct Answer {
  explicit Answer(base::Clock& clock) : come(clock) {}
  std::optional<absl::Status> read;
  base::WaitList come;
};

}  // namespace

awaitable<absl::Status> UnstoredLogStream::Begin() {
  absl::StatusOr<LogTask> task = co_await describe_();
  CO_RETURN_IF_ERROR(task.status());
  if (adapter_.LayoutOf(*task) != logs::Layout::kAirflow) {
    co_return ApiError(absl::StatusCode::kFailedPrecondition, "NOT_RENDERED",
                       "unstored: only logs in the airflow layout are rendered; read this one "
                       "from an offset");
  }
  logs::UnstoredPlace place =
      logs::FindUnstored(adapter_.LogPath(*task), task->generation, task->records);
  complete_ = place.complete;
  if (complete_) co_return absl::OkStatus();
  if (place.piece) {
    const bool stored = co_await IsStored(place.piece->name);
    if (stored) place.Skip();
  }
  if (reader_ && place.offset <= reader_->offset()) {
    co_return absl::DataLossError("the spool lacks output that is not stored yet");
  }
  reader_ = std::make_unique<logs::UnstoredReader>(adapter_.deps_.files, adapter_.deps_.pool,
                                                   adapter_.UnstoredOf(*task), std::move(place));
  ended_ = false;
  co_return absl::OkStatus();
}

// While the store does not answer a line shown twice is better than one not shown.
awaitable<bool> UnstoredLogStream::IsStored(std::string object) {
  auto answer = std::make_shared<Answer>(adapter_.deps_.clock);
  adapter_.group_.Spawn(
      id_.ToString(),
      [&store = adapter_.deps_.store, object = std::move(object), answer]() -> awaitable<void> {
        answer->read = (co_await store.Read(object, 0, 1)).status();
        answer->come.NotifyAll();
      });
  const base::BootTime deadline = adapter_.deps_.clock.Boot() + kAskStore;
  for (absl::Status waited; waited.ok() && !answer->read;) {
    waited = co_await answer->come.Wait(deadline);
  }
  co_return answer->read && answer->read->ok();
}

awaitable<absl::StatusOr<std::optional<logs::UnstoredEnd>>> UnstoredLogStream::End() {
  const auto stdout_bytes = co_await FinalSize(logs::Stream::kStdout);
  CO_RETURN_IF_ERROR(stdout_bytes.status());
  const auto stderr_bytes = co_await FinalSize(logs::Stream::kStderr);
  CO_RETURN_IF_ERROR(stderr_bytes.status());
  if (!*stdout_bytes || !*stderr_bytes) co_return std::nullopt;
  co_return logs::UnstoredEnd{.stdout_bytes = **stdout_bytes,
                              .stderr_bytes = **stderr_bytes,
                              .note = LogAdapter::NoteOf(end_())};
}

awaitable<absl::StatusOr<logs::LogChunk>> UnstoredLogStream::Read() {
  for (;;) {
    if (complete_) co_return logs::LogChunk{.offset = reader_ ? reader_->offset() : 0, .end = true};
    auto end = co_await End();
    CO_RETURN_IF_ERROR(end.status());
    ended_ = end->has_value();
    auto chunk = co_await reader_->Next(*end);
    if (!absl::IsDataLoss(chunk.status()) && !absl::IsAborted(chunk.status())) co_return chunk;
    // It was stored meanwhile, and its spool freed or removed?
    absl::Status behind = co_await Begin();
    if (absl::IsDataLoss(behind) && absl::IsAborted(chunk.status())) {
      // The limit took it in this moment; who asks again is given what is before the hole.
      co_return absl::UnavailableError("output was dropped while it was read");
    }
    CO_RETURN_IF_ERROR(behind);
  }
}

awaitable<absl::StatusOr<v1::ReadLogResponse>> UnstoredLogStream::Next() {
  if (!reader_ && !complete_) {
    absl::Status begun = co_await Begin();
    CO_RETURN_IF_ERROR(begun);
  }
  const std::string index = adapter_.Files(id_).index_path();
  for (;;) {
    absl::StatusOr<logs::LogChunk> chunk = co_await Read();
    if (forgotten_) co_return Forgotten();
    CO_RETURN_IF_ERROR(chunk.status());
    const bool nothing = chunk->data.empty() && !chunk->end;
    if (!nothing || !request_.follow()) {
      v1::ReadLogResponse response;
      response.set_offset(static_cast<int64_t>(chunk->offset));
      response.set_end(chunk->end || nothing);
      response.set_data(std::move(chunk->data));
      co_return response;
    }
    // Known since it was looked at above? Its wake-up came while nobody waited.
    if (!ended_ && end_().ended) continue;
    absl::Status grown =
        co_await adapter_.growth_.WaitForGrowth(id_.ToString(), index, reader_->indexed_bytes());
    CO_RETURN_IF_ERROR(grown);
  }
}

}  // namespace boxkeeper::daemon
