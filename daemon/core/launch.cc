// From a create outcome to the launch request: what a sandbox is told to run.
#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

bool IsRetryable(pb::ErrorClass error_class) {
  switch (error_class) {
    case pb::AUTH:
    case pb::INVALID:
    case pb::IMAGE_NOT_FOUND:
    case pb::PROTOCOL:
      return false;
    default:
      return true;
  }
}

namespace {

v1::Reason ReasonOf(pb::ErrorClass error_class) {
  switch (error_class) {
    case pb::AUTH:
      return v1::REASON_AUTH;
    case pb::INVALID:
      return v1::REASON_INVALID_SPEC;
    case pb::IMAGE_NOT_FOUND:
      return v1::REASON_IMAGE_NOT_FOUND;
    case pb::PROTOCOL:
      return v1::REASON_PROVIDER_PROTOCOL;
    case pb::QUOTA:
      return v1::REASON_QUOTA;
    case pb::CAPACITY:
      return v1::REASON_CAPACITY;
    default:
      return v1::REASON_CREATE_FAILED;
  }
}

}  // namespace

asio::awaitable<absl::StatusOr<rec::Accepted>> Engine::ReadAccepted(Generation generation) {
  TaskRow* row = table_.Find(generation);
  if (row == nullptr) co_return absl::NotFoundError("the task was compacted");
  rec::Accepted accepted;
  if (!row->accepted.empty()) {
    if (!accepted.ParseFromString(row->accepted)) co_return absl::DataLossError("accepted record");
    co_return accepted;
  }
  const Position position = row->accepted_position;
  absl::StatusOr<std::string> bytes = co_await deps_.store.Read(position);
  if (!bytes.ok()) co_return bytes.status();
  rec::Record record;
  if (!record.ParseFromString(*bytes)) co_return absl::DataLossError("accepted record");
  co_return std::move(*record.mutable_accepted());
}

void Engine::OnCreateOutcome(const base::SandboxId& id, const pb::CreateOutcome& outcome) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr) return;
  if (IsOneStep(sandbox->record.provider())) return OnOneStepOutcome(*sandbox, outcome);
  TaskRow* row = table_.Find(sandbox->record.generation());
  const bool forgetful = base::Mutated("cancel_lost_while_creating");
  const bool wanted = row != nullptr && (forgetful || row->state() == v1::TASK_STATE_CREATING) &&
                      row->status.sandbox_id() == sandbox->record.id();
  if (outcome.has_error()) return CreateFailed(wanted ? row : nullptr, *sandbox, outcome.error());
  rec::SandboxRecord record = sandbox->record;
  record.set_handle(outcome.handle());
  record.set_state(rec::SandboxRecord::READY);
  WriteSandbox(std::move(record));
  base::Failpoint("sandbox.ready");
  sandbox = table_.FindSandbox(id);
  if (!wanted) return Cleanup(*sandbox);
  // Handed over: the next start goes on from the handle.
  if (stopping_) return;
  if (Expired(*row)) return Expire(*row);
  IntendStart(*row, *sandbox);
}

// `row` is null if nobody waits for the sandbox any more.
void Engine::CreateFailed(TaskRow* row, SandboxRow& sandbox, const pb::ProviderError& error) {
  const bool proved = error.proves_no_effect();
  // A one-step create that provably had no effect withdraws its start intent.
  const bool withdrawn = row != nullptr && row->state() == v1::TASK_STATE_STARTING;
  if (row != nullptr) {
    const pb::ErrorClass error_class = error.error_class();
    const ProviderState* provider = FindProvider(row->provider);
    const bool unreachable = provider != nullptr && provider->unreachable_since.has_value();
    const bool counts =
        error_class != pb::RATE && !(error_class == pb::TRANSIENT && (proved || unreachable));
    const int failures = row->status.counted_failures() + (counts ? 1 : 0);
    if (IsRetryable(error_class) && failures < options_.max_attempts) {
      const base::BackoffOptions backoff{options_.retry_initial, options_.retry_max};
      base::BootClock::duration wait =
          base::BackoffFor(backoff, std::max(0, row->status.attempt() - 1), deps_.rng);
      const std::chrono::milliseconds hinted(ToMillis(error.retry_after()));
      wait = std::max<base::BootClock::duration>(wait, hinted);
      const int64_t wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
      Move(*row, withdrawn ? TaskEvent::kStartWithdrawn : TaskEvent::kCreateRetryable,
           [&](rec::TaskStatus& status) {
             status.set_counted_failures(failures);
             status.set_message(error.message());
             status.set_not_before_ms(NowMs() + wait_ms);
             status.set_not_before_boot_ms(BootMs() + wait_ms);
             status.clear_sandbox_id();
           });
      Enlist(*row);
    } else {
      Move(*row, withdrawn ? TaskEvent::kStartFailed : TaskEvent::kCreateFatal,
           [&](rec::TaskStatus& status) {
             status.set_counted_failures(failures);
             status.set_reason(ReasonOf(error_class));
             status.set_message(error.message());
             MarkNeverStarted(status);
           });
    }
  }
  if (proved) {
    DropUncreated(sandbox);
  } else {
    Cleanup(sandbox);
  }
  // Its log is tracked since the intent.
  if (withdrawn && IsTerminal(row->state())) AfterEnd(*row);
}

asio::awaitable<absl::StatusOr<pb::LaunchRequest>> Engine::MakeLaunch(Generation generation) {
  absl::StatusOr<rec::Accepted> read = co_await ReadAccepted(generation);
  if (!read.ok()) co_return read.status();
  rec::Accepted& accepted = *read;
  TaskRow* row = table_.Find(generation);
  if (row == nullptr) co_return absl::NotFoundError("the task was compacted");
  pb::LaunchRequest launch;
  launch.set_exec_id(row->id.ToString());
  if (base::Mutated("new_exec_id_each_start")) launch.mutable_exec_id()->append(CursorText(epoch_));
  *launch.mutable_command() = std::move(*accepted.mutable_command());
  v1::SandboxSpec& spec = *accepted.mutable_spec();
  launch.mutable_env()->swap(*spec.mutable_env());
  launch.mutable_files()->Swap(accepted.mutable_files());
  launch.set_workdir(spec.workdir());
  launch.set_user(spec.user());
  launch.set_stdin(spec.stdin());
  for (const v1::TaskFile& file : launch.files()) {
    if (file.blob().empty() || blob_pins_ == nullptr) continue;
    (*launch.mutable_blob_paths())[file.blob()] = blob_pins_->PathOf(file.blob());
  }
  if (spec.has_timeout()) *launch.mutable_timeout() = spec.timeout();
  const std::chrono::milliseconds grace(row->grace_ms < 0 ? options_.cancel_grace.count()
                                                          : row->grace_ms);
  launch.mutable_spec()->Swap(&spec);
  *launch.mutable_grace() = ToDuration(grace);
  *launch.mutable_final_drain() = ToDuration(options_.final_drain);
  if (log_port_ != nullptr) {
    absl::StatusOr<pb::SpoolPaths> spool = co_await log_port_->PrepareSpool(row->id);
    if (!spool.ok()) co_return spool.status();
    *launch.mutable_spool() = *std::move(spool);
  }
  absl::StatusOr<rec::SecretBundle> opened = co_await OpenSecrets(generation);
  if (!opened.ok()) co_return opened.status();
  rec::SecretBundle& bundle = *opened;
  launch.mutable_secret_env()->swap(*bundle.mutable_env());
  for (v1::TaskFile& file : *bundle.mutable_files()) launch.add_files()->Swap(&file);
  co_return launch;
}

// Empty for a task without secrets, or whose secrets are erased.
asio::awaitable<absl::StatusOr<rec::SecretBundle>> Engine::OpenSecrets(Generation generation) {
  rec::SecretBundle bundle;
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->sealed_position == 0) co_return bundle;
  const base::SubmissionId submission = row->submission_id;
  const Position position = row->sealed_position;
  absl::StatusOr<std::string> bytes = co_await deps_.store.Read(position);
  row = table_.Find(generation);
  if (row == nullptr || row->sealed_position == 0) co_return bundle;  // erased meanwhile
  if (!bytes.ok()) co_return bytes.status();
  rec::Record record;
  if (!record.ParseFromString(*bytes)) co_return absl::DataLossError("sealed record");
  absl::StatusOr<std::string> opened = deps_.unseal(record.sealed().box(), submission);
  if (!opened.ok()) co_return opened.status();
  const bool parsed = bundle.ParseFromString(*opened);
  OPENSSL_cleanse(opened->data(), opened->size());
  if (!parsed) co_return absl::DataLossError("sealed secrets");
  co_return bundle;
}

}  // namespace boxkeeper::daemon
