// What clients may read of a task's output: its log and its artifacts.
#include <utility>

#include "base/task_key.h"
#include "daemon/api/api_error.h"
#include "daemon/core/end_text.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

absl::StatusOr<std::unique_ptr<LogStream>> Engine::ReadLog(v1::ReadLogRequest request) {
  v1::TaskRef ref = request.task();
  if (!request.has_task()) ref.set_id(request.id());
  TaskRow* row = Resolve(ref);
  if (row == nullptr) return TaskNotFound(ref.has_key() ? base::KeyString(ref.key()) : ref.id());
  if (log_port_ == nullptr) {
    return ApiError(absl::StatusCode::kUnimplemented, "NO_LOGS", "this daemon keeps no logs");
  }
  // Opened by the port when it first reads: the accepted record may have to come from the store.
  const Generation generation = row->generation;
  auto describe = [this, generation]() -> asio::awaitable<absl::StatusOr<LogTask>> {
    return DescribeLog(generation);
  };
  auto end = [this, generation]() {
    LogEnd known;
    const TaskRow* now = table_.Find(generation);
    if (now == nullptr) return known;
    // Not before it is durable.
    known.ended = now->end_position != 0 && now->end_position <= journal_.synced();
    known.stdout_bytes = now->status.stdout_bytes();
    known.stderr_bytes = now->status.stderr_bytes();
    known.dropped_bytes = now->status.dropped_bytes();
    if (!known.ended) return known;
    known.ended_at_ms = now->status.ended_at_ms();
    known.reason = ReasonWord(now->status.reason());
    known.why = DescribeEnd(now->status);
    return known;
  };
  return log_port_->Open(row->id, std::move(describe), std::move(end), std::move(request));
}

absl::StatusOr<TaskRow*> Engine::ResolveEnded(const v1::TaskRef& ref) {
  TaskRow* row = Resolve(ref);
  if (row == nullptr) return TaskNotFound(ref.has_key() ? base::KeyString(ref.key()) : ref.id());
  if (log_port_ == nullptr) {
    return ApiError(absl::StatusCode::kUnimplemented, "NO_LOGS", "this daemon keeps no logs");
  }
  if (row->end_position == 0 || row->end_position > journal_.synced()) {
    return ApiError(absl::StatusCode::kFailedPrecondition, "TASK_NOT_ENDED",
                    "outputs are collected when the task has ended; wait for it");
  }
  return row;
}

asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> Engine::ListArtifacts(
    v1::ListArtifactsRequest request) {
  absl::StatusOr<TaskRow*> row = ResolveEnded(request.task());
  if (!row.ok()) co_return row.status();
  v1::ListArtifactsResponse response;
  response.set_id((*row)->id.ToString());
  if (!(*row)->has_outputs) co_return response;
  *response.mutable_outputs() = (*row)->status.outputs();
  const base::TaskId id = (*row)->id;
  const bool complete = (*row)->status.log_complete();
  absl::StatusOr<v1::OutputsStatus> listed = co_await log_port_->ListArtifacts(id, complete);
  // Of a task that was lost nobody attested them; they may be there all the same.
  if (!listed.ok() && !absl::IsNotFound(listed.status())) co_return listed.status();
  if (listed.ok()) *response.mutable_outputs() = *std::move(listed);
  co_return response;
}

absl::StatusOr<std::unique_ptr<ArtifactStream>> Engine::ReadArtifact(
    v1::ReadArtifactRequest request) {
  absl::StatusOr<TaskRow*> row = ResolveEnded(request.task());
  if (!row.ok()) return row.status();
  const bool complete = (*row)->status.log_complete();
  return log_port_->OpenArtifact((*row)->id, complete, std::move(request));
}

asio::awaitable<absl::StatusOr<LogTask>> Engine::DescribeLog(Generation generation) {
  absl::StatusOr<rec::Accepted> accepted = co_await ReadAccepted(generation);
  if (!accepted.ok()) co_return accepted.status();
  absl::StatusOr<rec::SecretBundle> opened = co_await OpenSecrets(generation);
  if (!opened.ok()) co_return opened.status();
  const TaskRow* row = table_.Find(generation);
  if (row == nullptr) co_return TaskNotFound("any more");
  LogTask task;
  task.generation = generation;
  task.id = row->id;
  task.key = accepted->key();
  task.spec = accepted->spec().log();
  task.accepted_at_ms = row->accepted_at_ms;
  task.has_outputs = row->has_outputs;
  for (const auto& [name, value] : opened->env()) task.secrets.push_back(value);
  for (const v1::TaskFile& file : opened->files()) task.secrets.push_back(file.content());
  for (const LoggedRecord& logged : row->log_records) task.records.push_back(logged.record);
  co_return task;
}

}  // namespace boxkeeper::daemon
