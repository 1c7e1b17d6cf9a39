// What the providers attest, and what follows from it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

int64_t UnixMs(const google::protobuf::Timestamp& t) {
  return t.seconds() * 1000 + t.nanos() / 1'000'000;
}

// The daemon's back-up clock gives the supervisor this much more than timeout + grace.
constexpr std::chrono::milliseconds kRunTimeoutMargin{5'000};

// What an attested end says, but for state and reason.
void CopyExit(const pb::ExitRecord& exit, rec::TaskStatus& status) {
  if (exit.has_exit_code()) status.set_exit_code(exit.exit_code());
  if (exit.has_signal()) status.set_signal(exit.signal());
  status.set_attester(exit.attester());
  if (exit.has_peak_memory_bytes()) status.set_peak_memory_bytes(exit.peak_memory_bytes());
  if (exit.has_cpu_seconds()) status.set_cpu_seconds(exit.cpu_seconds());
  status.set_stdout_bytes(exit.stdout_bytes());
  status.set_stderr_bytes(exit.stderr_bytes());
  status.set_dropped_bytes(exit.dropped_bytes());
  if (exit.has_started_at()) status.set_started_at_ms(UnixMs(exit.started_at()));
  if (exit.has_ended_at()) status.set_ended_at_ms(UnixMs(exit.ended_at()));
  status.set_fenced(exit.fence_confirmed());
  status.set_user_code_started(v1::USER_CODE_STARTED_YES);
  if (exit.has_outputs()) *status.mutable_outputs() = exit.outputs();
}

void CopySandbox(const pb::SandboxView& view, rec::TaskStatus& status) {
  if (!view.isolation().empty()) status.set_isolation(view.isolation());
  if (!view.limits().empty()) status.set_limits(view.limits());
}

v1::Reason ReasonOf(const pb::ExitRecord& exit) {
  if (exit.timed_out()) return v1::REASON_RUN_TIMEOUT;
  if (exit.oom_killed()) return v1::REASON_OOM;
  return exit.has_signal() ? v1::REASON_SIGNAL : v1::REASON_EXIT_CODE;
}

// For people, where the provider said nothing; empty for success.
std::string EndInWords(const pb::ExitRecord& exit, int64_t timeout_ms) {
  if (exit.timed_out()) {
    const std::string timeout = absl::FormatDuration(absl::Milliseconds(timeout_ms));
    return absl::StrCat("ran longer than its timeout of ", timeout);
  }
  if (exit.oom_killed()) return "killed: out of memory";
  if (exit.has_signal()) return absl::StrCat("killed by signal ", exit.signal());
  return exit.exit_code() == 0 ? "" : absl::StrCat("exited with code ", exit.exit_code());
}

}  // namespace

void Engine::OnHint(ProviderState& provider, const providers::ProviderHint& hint) {
  if (hint.sandbox_name.empty()) return provider.poll_now->NotifyAll();
  const auto verified = deps_.naming.Verify(hint.sandbox_name, {}, provider.name);
  SandboxRow* sandbox = verified.has_value() ? table_.FindSandbox(verified->id) : nullptr;
  if (sandbox == nullptr) return;
  base::Failpoint("hint.received");
  // Before its create has come back its output could not be fetched: whoever waits for the create
  // looks then.
  if (sandbox->record.handle().empty()) return;
  if (hint.view != nullptr) {
    if (!IsAnother(*sandbox, *hint.view)) Observe(*sandbox, *hint.view);
    return;
  }
  const TaskRow* row = table_.Find(sandbox->record.generation());
  if (row != nullptr && row->state() == v1::TASK_STATE_RUNNING && IsPulled(*row)) {
    log_port_->Hurry(row->id);
  }
  const base::SandboxId id = sandbox->id;
  SpawnInspect(id);
}

void Engine::SpawnInspect(base::SandboxId id) {
  Spawn("inspect", [this, id]() -> asio::awaitable<void> {
    absl::StatusOr<pb::SandboxView> view = co_await InspectNow(id);
  });
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> Engine::Look(ProviderState& provider,
                                                              std::string handle) {
  while (provider.looks_in_flight >= provider.limits.status_concurrency) {
    absl::Status woken = co_await provider.look_ended->Wait(base::BootTime::max());
    if (!woken.ok()) co_return woken;
  }
  ++provider.looks_in_flight;
  const base::BootTime deadline = CallDeadline(provider);
  absl::StatusOr<pb::SandboxView> view =
      co_await provider.provider->Inspect(std::move(handle), deadline);
  base::Failpoint("inspect.after_answer");
  --provider.looks_in_flight;
  provider.look_ended->NotifyAll();
  NoteCall(provider, "inspect", view.status());
  co_return view;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> Engine::InspectNow(base::SandboxId id) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  ProviderState* provider = sandbox == nullptr ? nullptr : FindProvider(sandbox->record.provider());
  if (provider == nullptr || sandbox->record.handle().empty()) {
    co_return absl::NotFoundError("no such sandbox");
  }
  absl::StatusOr<pb::SandboxView> view = co_await Look(*provider, sandbox->record.handle());
  sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr || !view.ok()) co_return view;
  if (view->state() != pb::SandboxView::ABSENT) {
    missing_.erase(id);
    Observe(*sandbox, *view);
  } else if (AbsentAgain(id, *provider)) {
    SandboxAbsent(*sandbox);
  }
  co_return view;
}

bool Engine::AbsentAgain(const base::SandboxId& id, const ProviderState& provider) {
  const std::chrono::milliseconds lag(ToMillis(provider.provider->capabilities().list_lag()));
  auto [it, first] = missing_.emplace(id, deps_.clock.Boot());
  if (base::Mutated("one_look_up")) return true;
  if (base::Mutated("list_lag_ignored") && !first) return true;
  if (first || deps_.clock.Boot() - it->second < lag) return false;
  missing_.erase(it);
  return true;
}

// What the provider says after the end changes nothing, but an operator may want to know it.
void Engine::NoteLate(TaskRow& row, const pb::SandboxView& view) {
  if (base::Mutated("late_end_overwrites") && view.has_exit()) {
    return Amend(row, v1::EVENT_TYPE_UNSPECIFIED, [&view](rec::TaskStatus& status) {
      status.set_exit_code(view.exit().exit_code() + 1);
    });
  }
  if (row.state() != v1::TASK_STATE_LOST || !view.has_exit() || !row.notes.empty()) return;
  const pb::ExitRecord& exit = view.exit();
  if (exit.has_exit_code()) {
    AddNote(row, absl::StrCat("seen after its end: it exited with code ", exit.exit_code()));
  } else if (exit.has_signal()) {
    AddNote(row, absl::StrCat("seen after its end: it was killed by signal ", exit.signal()));
  }
}

void Engine::Observe(SandboxRow& sandbox, const pb::SandboxView& view) {
  TaskRow* row = table_.Find(sandbox.record.generation());
  const bool current = row != nullptr && row->status.sandbox_id() == sandbox.record.id();
  if (current && IsTerminal(row->state())) return NoteLate(*row, view);
  if (!current || !MayRun(row->state())) return;
  switch (view.state()) {
    case pb::SandboxView::RUNNING: {
      if (row->state() != v1::TASK_STATE_STARTING) return;
      Move(*row, TaskEvent::kStartAttested, [&](rec::TaskStatus& status) {
        status.set_started_at_ms(view.has_started_at() ? UnixMs(view.started_at()) : NowMs());
        status.set_started_boot_ms(BootMs());
        status.set_user_code_started(v1::USER_CODE_STARTED_YES);
        CopySandbox(view, status);
      });
      ArmRunTimeout(*row);
      PullOutput(*row);
      return;
    }
    case pb::SandboxView::ENDED:
      if (view.has_exit()) {
        if (!DrainFirst(*row, view, false)) Finish(*row, view);
      } else {
        const base::SandboxId id = sandbox.id;
        SpawnInspect(id);
      }
      return;
    case pb::SandboxView::CREATED:
      // Proof that it did not begin: our boot marker of this very instance, and nothing started.
      if (row->state() == v1::TASK_STATE_STARTING && view.boot_marker() && !view.started_marker() &&
          !IsOneStep(row->provider)) {
        SpawnStart(row->generation, false);
      }
      return;
    default:
      if (base::Mutated("unknown_word_is_an_end")) {
        pb::ExitRecord gone;
        gone.set_fence_confirmed(true);
        return FinishLost(*row, gone);
      }
      return;  // a state word that we do not know is never an end
  }
}

void Engine::ArmRunTimeout(TaskRow& row) {
  if (row.timeout_ms <= 0) return;
  const int64_t grace = row.grace_ms < 0 ? options_.cancel_grace.count() : row.grace_ms;
  const base::BootTime started =
      Instant(row.status_position, row.status.started_boot_ms(), row.status.started_at_ms());
  if (base::Mutated("timeout_by_wall_clock")) {
    const int64_t left = row.status.started_at_ms() + row.timeout_ms - NowMs();
    return timers_.Set(row.generation, TimerKind::kRunTimeout,
                       deps_.clock.Boot() + std::chrono::milliseconds(left));
  }
  timers_.Set(row.generation, TimerKind::kRunTimeout,
              started + std::chrono::milliseconds(row.timeout_ms + grace) + kRunTimeoutMargin +
                  // It is running to us until its outputs are collected.
                  (row.has_outputs ? options_.outputs_timeout : std::chrono::milliseconds(0)));
}

// The daemon stopped it because it did not know better: it had been suspended, or could not reach
// the provider. What had ended by itself before tells its own end (I11 goes both ways).
bool Engine::EndedBeforeOurStop(const TaskRow& row, const pb::ExitRecord& exit) const {
  const rec::Stop& stop = row.status.stop();
  const bool ours = stop.reason() == v1::REASON_RUN_TIMEOUT ||
                    stop.reason() == v1::REASON_START_FAILED ||
                    stop.reason() == v1::REASON_SANDBOX_LOST;
  if (!ours || exit.start_failed() || !exit.has_ended_at()) return false;
  if (UnixMs(exit.ended_at()) >= stop.at_ms()) return false;
  if (stop.reason() != v1::REASON_RUN_TIMEOUT || !exit.has_started_at()) return true;
  return UnixMs(exit.ended_at()) - UnixMs(exit.started_at()) <= row.timeout_ms;
}

void Engine::Finish(TaskRow& row, const pb::SandboxView& view) {
  const pb::ExitRecord& exit = view.exit();
  if (exit.host_rebooted() && base::Mutated("reboot_is_an_exit")) {
    pb::SandboxView ended = view;
    ended.mutable_exit()->clear_host_rebooted();
    ended.mutable_exit()->clear_lost();
    ended.mutable_exit()->clear_start_failed();
    ended.mutable_exit()->set_exit_code(0);
    return Finish(row, ended);
  }
  if (exit.lost() || exit.host_rebooted()) return FinishLost(row, exit);
  const bool stopping = row.state() == v1::TASK_STATE_STOPPING && !EndedBeforeOurStop(row, exit);
  if (exit.start_failed()) {
    auto edit = [&exit](rec::TaskStatus& status) {
      status.set_user_code_started(v1::USER_CODE_STARTED_NO);
      status.set_attester(exit.attester());
      status.set_fenced(exit.fence_confirmed());
    };
    if (stopping) return FinishStopped(row, edit);
    Move(row, TaskEvent::kStartFailed, [&](rec::TaskStatus& status) {
      edit(status);
      status.set_reason(v1::REASON_START_FAILED);
      status.set_message(exit.message());
    });
    return AfterEnd(row);
  }
  // Success needs an exit code: a record without code and without signal is no end that we may
  // report (I11).
  if (!exit.has_exit_code() && !exit.has_signal()) {
    pb::ExitRecord lost = exit;
    lost.set_lost(true);
    lost.set_message(
        absl::StrCat("the exit record has neither exit code nor signal; ", exit.message()));
    return FinishLost(row, lost);
  }
  if (stopping) {
    return FinishStopped(row, [&](rec::TaskStatus& status) {
      CopySandbox(view, status);
      CopyExit(exit, status);
    });
  }
  const v1::Reason reason = ReasonOf(exit);
  const bool success = reason == v1::REASON_EXIT_CODE && exit.exit_code() == 0;
  Move(row, success ? TaskEvent::kExitedZero : TaskEvent::kExitedNonZero,
       [&](rec::TaskStatus& status) {
         CopySandbox(view, status);
         CopyExit(exit, status);
         status.set_reason(reason);
         status.set_message(exit.message().empty() ? EndInWords(exit, row.timeout_ms)
                                                   : exit.message());
       });
  AfterEnd(row);
}

void Engine::FinishLost(TaskRow& row, const pb::ExitRecord& exit) {
  const bool fenced = exit.fence_confirmed() || exit.host_rebooted();
  auto edit = [&](rec::TaskStatus& status) {
    status.set_stdout_bytes(exit.stdout_bytes());
    status.set_stderr_bytes(exit.stderr_bytes());
    status.set_dropped_bytes(exit.dropped_bytes());
    if (exit.has_ended_at()) status.set_ended_at_ms(UnixMs(exit.ended_at()));
    status.set_fenced(fenced);
    if (status.started_at_ms() == 0) status.set_user_code_started(v1::USER_CODE_STARTED_UNKNOWN);
    if (row.has_outputs) {
      status.mutable_outputs()->set_message("nobody is left to tell what was collected");
    }
  };
  // Somebody asked for its end, and it is certain that it ended: that is what was asked for.
  const bool stop_done = row.state() == v1::TASK_STATE_STOPPING && fenced && !exit.host_rebooted();
  if (stop_done) return FinishStopped(row, edit);
  Move(row, TaskEvent::kExecutionLost, [&](rec::TaskStatus& status) {
    edit(status);
    status.set_reason(exit.host_rebooted() ? v1::REASON_HOST_REBOOTED : v1::REASON_SANDBOX_LOST);
    std::string message =
        exit.message().empty() ? "its sandbox is gone without an exit record" : exit.message();
    if (!fenced) absl::StrAppend(&message, "; fence not confirmed");
    status.set_message(message);
  });
  AfterEnd(row);
}

// Cleanup is separate from the end, and follows it.
void Engine::AfterEnd(TaskRow& row) {
  SandboxRow* sandbox = table_.SandboxOf(row);
  if (sandbox != nullptr && !base::Mutated("cleanup_forgotten")) Cleanup(*sandbox);
  if (log_port_ == nullptr) return;
  const base::TaskId id = row.id;
  LogEnd end = MakeLogEnd(row);
  journal_.WhenSynced(
      [this, id, end = std::move(end)]() mutable { log_port_->NoteEnd(id, std::move(end)); });
}

void Engine::SandboxAbsent(SandboxRow& sandbox) {
  TaskRow* row = table_.Find(sandbox.record.generation());
  const bool current = row != nullptr && row->status.sandbox_id() == sandbox.record.id();
  if (current && MayRun(row->state())) {
    pb::ExitRecord lost;
    lost.set_lost(true);
    lost.set_fence_confirmed(true);  // what does not exist does not run
    lost.set_message("its sandbox vanished (looked up twice)");
    if (base::Mutated("vanished_is_success")) {
      pb::SandboxView ended;
      ended.mutable_exit()->set_exit_code(0);
      return Finish(*row, ended);
    }
    pb::SandboxView view;
    view.set_state(pb::SandboxView::ENDED);
    *view.mutable_exit() = lost;
    // What was fetched of its output is made durable.
    if (DrainFirst(*row, view, true)) return;
    FinishLost(*row, lost);
    if (SandboxRow* left = table_.FindSandbox(sandbox.id)) ForgetSandbox(*left);
    return;
  }
  if (sandbox.record.state() == rec::SandboxRecord::CLEANUP) ForgetSandbox(sandbox);
}

}  // namespace boxkeeper::daemon
