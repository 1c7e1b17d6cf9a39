// A task's output: when its shipping begins, what its end says, and what the log port journals.
#include <google/protobuf/util/json_util.h>

#include <utility>

#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/end_text.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// Exit records of tasks without a log on their way to the store; the log port stores eight logs at
// a time.
constexpr size_t kRecordsAtOnce = 4;

}  // namespace

asio::awaitable<bool> Engine::TrackLog(Generation generation) {
  if (log_port_ == nullptr) co_return false;
  absl::StatusOr<LogTask> task = co_await DescribeLog(generation);
  TaskRow* row = table_.Find(generation);
  if (!task.ok() || row == nullptr) {
    base::LogWarning("log not tracked", {{"error", task.status()}});
    co_return false;
  }
  log_port_->Track(*std::move(task));
  if (!IsTerminal(row->state())) co_return true;
  // The end may not be durable yet, and nothing may tell of it before.
  journal_.WhenSynced(
      [this, id = row->id, end = MakeLogEnd(*row)] { log_port_->NoteEnd(id, end); });
  co_return true;
}

void Engine::RecordEndLater(Generation generation) {
  if (log_port_ == nullptr || recording_.contains(generation)) return;
  if (base::Mutated("silent_end_not_recorded")) return;
  unrecorded_.insert(generation);
  RecordEnds();
}

// Few at a time: a hundred thousand tasks that were cancelled in the queue must neither keep logs
// from being shipped nor, while the store is down, be tried again one by one.
void Engine::RecordEnds() {
  while (!stopping_ && recording_.size() < kRecordsAtOnce && !unrecorded_.empty()) {
    const Generation generation = *unrecorded_.begin();
    unrecorded_.erase(unrecorded_.begin());
    recording_.insert(generation);
    Spawn("exit record", [this, generation] { return RecordEnd(generation); });
  }
}

asio::awaitable<void> Engine::RecordEnd(Generation generation) {
  // One that expired as it was accepted may be too large to be kept in memory, and cannot be read
  // yet.
  co_await Durable();
  const bool tracked = co_await TrackLog(generation);
  // What cannot be read now is read by the next start.
  if (!tracked) NoteRecorded(generation);
}

void Engine::NoteRecorded(Generation generation) {
  unrecorded_.erase(generation);
  if (recording_.erase(generation) > 0) RecordEnds();
}

LogEnd Engine::MakeLogEnd(const TaskRow& row) const {
  const rec::TaskStatus& status = row.status;
  LogEnd end;
  end.ended = true;
  end.stdout_bytes = status.stdout_bytes();
  end.stderr_bytes = status.stderr_bytes();
  end.dropped_bytes = status.dropped_bytes();
  end.unattested = row.state() == v1::TASK_STATE_LOST;
  end.ended_at_ms = status.ended_at_ms();
  end.reason = ReasonWord(status.reason());
  end.why = DescribeEnd(status);
  // The exit record is the task's end as the API gives it, without command and spec.
  v1::Task task;
  task.set_id(row.id.ToString());
  task.set_submission_id(row.submission_id.id.ToUuid());
  task.set_key_string(*row.key);
  task.set_generation(row.generation);
  task.set_state(row.state());
  task.set_reason(status.reason());
  task.set_message(status.message());
  if (status.has_exit_code()) task.set_exit_code(status.exit_code());
  if (status.has_signal()) task.set_signal(status.signal());
  task.set_user_code_started(status.user_code_started());
  task.set_attester(status.attester());
  if (status.has_peak_memory_bytes()) task.set_peak_memory_bytes(status.peak_memory_bytes());
  if (status.has_cpu_seconds()) task.set_cpu_seconds(status.cpu_seconds());
  *task.mutable_accepted_at() = ToTimestamp(row.accepted_at_ms);
  if (status.started_at_ms() != 0) *task.mutable_started_at() = ToTimestamp(status.started_at_ms());
  *task.mutable_ended_at() = ToTimestamp(status.ended_at_ms());
  task.mutable_log()->set_stdout_bytes(end.stdout_bytes);
  task.mutable_log()->set_stderr_bytes(end.stderr_bytes);
  task.mutable_log()->set_dropped_bytes(end.dropped_bytes);
  task.mutable_log()->set_incomplete(status.log_incomplete());
  if (status.has_outputs()) *task.mutable_outputs() = status.outputs();
  end.exit_record = [task = std::move(task)](const v1::OutputsStatus* outputs) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    options.add_whitespace = true;
    std::string text;
    v1::Task whole = task;
    if (outputs != nullptr) *whole.mutable_outputs() = *outputs;
    const auto printed = google::protobuf::util::MessageToJsonString(whole, &text, options);
    if (!printed.ok()) base::LogWarning("exit record not printed", {{"task_id", task.id()}});
    return text;
  };
  return end;
}

asio::awaitable<absl::Status> Engine::RecordLog(rec::LogRecord record) {
  TaskRow* row = table_.Find(record.generation());
  if (row == nullptr) co_return absl::NotFoundError("the task was compacted");
  for (const LoggedRecord& logged : row->log_records) {
    if (!Supersedes(record, logged.record)) continue;
    journal_.Delete(logged.position);
    std::erase(row->positions, logged.position);
  }
  rec::Record wrapped;
  *wrapped.mutable_log() = std::move(record);
  Write(wrapped);
  base::Failpoint("log_record.written");
  co_await Durable();
  base::Failpoint("log_record.synced");
  co_return absl::OkStatus();
}

void Engine::LogComplete(Generation generation) {
  NoteRecorded(generation);
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->status.log_complete()) return;
  const bool suppressed = row->status.has_stop() && row->status.stop().suppress_events();
  std::string lost;
  for (const LoggedRecord& logged : row->log_records) lost += logged.record.lost();
  Amend(*row, suppressed ? v1::EVENT_TYPE_UNSPECIFIED : v1::EVENT_TYPE_LOG_COMPLETE,
        [&lost](rec::TaskStatus& status) {
          status.set_log_complete(true);
          status.set_log_lost(lost);
        });
  base::Failpoint("log.complete");
  if (!suppressed) ++deps_.metrics.events;
  if (IsTerminal(row->state())) EraseSecrets(*row);
}

}  // namespace boxkeeper::daemon
