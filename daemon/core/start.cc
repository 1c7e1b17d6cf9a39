// From the start intent to the attested start of the user's command (two-step launch).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// While a start waits to be repeated, how soon it notices that its task is to stop.
constexpr std::chrono::milliseconds kStateCheck{500};
// So many start_timeouts a task may be STARTING without a word of it from a provider that is there.
constexpr int kSilentStartTimeouts = 3;

}  // namespace

void Engine::IntendStart(TaskRow& row, SandboxRow& sandbox) {
  rec::SandboxRecord record = sandbox.record;
  record.set_state(rec::SandboxRecord::START_INTENDED);
  WriteSandbox(std::move(record));
  timers_.Clear(row.generation, TimerKind::kStartDeadline);
  Move(row, TaskEvent::kStartIntended, nullptr);
  const Generation generation = row.generation;
  SpawnStart(generation, true);
}

void Engine::SpawnStart(Generation generation, bool first) {
  if (stopping_ || !driven_.insert(generation).second) return;
  Spawn("start", [this, generation, first] { return RunStart(generation, first); });
}

asio::awaitable<void> Engine::RunStart(Generation generation, bool first) {
  // The spool is watched before anything can be written to it.
  co_await TrackLog(generation);
  absl::StatusOr<pb::LaunchRequest> launch = co_await MakeLaunch(generation);
  // From the intent on the task may run: the start leaves only when that is durable (I3, I4),
  // whoever asks for it. What it needs was made ready meanwhile.
  if (!base::Mutated("start_before_intent")) co_await Durable();
  if (!launch.ok()) {
    // An earlier process may have sent a start: the end is told once the sandbox is fenced.
    TaskRow* row = table_.Find(generation);
    if (row != nullptr && row->state() == v1::TASK_STATE_STARTING && !stopping_) {
      RequestStop(*row, MakeStop(*row, v1::REASON_START_FAILED,
                                 absl::StrCat("its launch could not be prepared: ",
                                              std::string(launch.status().message()))));
    }
  } else {
    const base::BootTime now = deps_.clock.Boot();
    Starts starts{.first = first, .tries = 0, .last_sent = now, .silent_since = now};
    bool again = true;
    for (; again; ++starts.tries) again = co_await StartOnce(generation, *launch, starts);
  }
  driven_.erase(generation);
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->state() != v1::TASK_STATE_STOPPING) co_return;
  SpawnStop(generation);
}

// One Start and what follows from its answer. True: the answer proves nothing, ask again. Where the
// same exec_id may run twice, only after a proof that no Start before had an effect.
asio::awaitable<bool> Engine::StartOnce(Generation generation, pb::LaunchRequest launch,
                                        Starts& starts) {
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->state() != v1::TASK_STATE_STARTING || stopping_) co_return false;
  SandboxRow* sandbox = table_.SandboxOf(*row);
  ProviderState* provider = FindProvider(row->provider);
  if (sandbox == nullptr || provider == nullptr) co_return false;
  const std::string handle = sandbox->record.handle();
  const base::SandboxId id = sandbox->id;
  const bool harmless = provider->provider->capabilities().start_idempotent() ||
                        base::Mutated("start_repeated_blindly");
  if (!starts.first && !harmless) {
    const bool proved = co_await ProveNotBegun(id, generation, starts);
    if (!proved) co_return false;
  }
  const base::BootTime deadline = deps_.clock.Boot() + options_.start_timeout;
  pb::StartOutcome outcome;
  {
    CallScope call(calls_);
    base::Failpoint("start.before_call");
    outcome = co_await provider->provider->Start(handle, std::move(launch), deadline);
    base::Failpoint("start.after_answer");
  }
  const absl::Status status =
      outcome.has_error() ? providers::MakeError(outcome.error()) : absl::OkStatus();
  NoteCall(*provider, "start", status);
  const bool first = std::exchange(starts.first, false);
  if (!outcome.error().proves_no_effect()) starts.last_sent = deps_.clock.Boot();
  sandbox = table_.FindSandbox(id);
  row = table_.Find(generation);
  if (sandbox == nullptr || row == nullptr) co_return false;
  pb::SandboxView view;
  view.set_isolation(outcome.isolation());
  view.set_limits(outcome.limits());
  if (outcome.has_started()) {
    view.set_state(pb::SandboxView::RUNNING);
    *view.mutable_started_at() = outcome.started().at();
    Observe(*sandbox, view);
    co_return false;
  }
  if (outcome.has_ended() || outcome.has_failure()) {
    view.set_state(pb::SandboxView::ENDED);
    if (outcome.has_ended()) *view.mutable_exit() = std::move(*outcome.mutable_ended());
    if (outcome.has_failure()) {
      view.mutable_exit()->set_start_failed(true);
      view.mutable_exit()->set_fence_confirmed(true);
      view.mutable_exit()->set_message(outcome.failure().message());
    }
    Observe(*sandbox, view);
    co_return false;
  }
  const pb::ProviderError& error = outcome.error();
  if (error.proves_no_effect() && !IsRetryable(error.error_class())) {
    // It proves that this start did nothing. Of an earlier one, whose answer was lost, it says
    // nothing.
    if (!first) {
      if (row->state() == v1::TASK_STATE_STARTING) {
        RequestStop(*row, MakeStop(*row, v1::REASON_START_FAILED, error.message()));
      }
      co_return false;
    }
    view.set_state(pb::SandboxView::ENDED);
    view.mutable_exit()->set_start_failed(true);
    view.mutable_exit()->set_fence_confirmed(true);
    view.mutable_exit()->set_message(error.message());
    Observe(*sandbox, view);
    co_return false;
  }
  // Nothing happened, and nothing had been sent before: the next one is the first again.
  if (error.proves_no_effect() && first) starts.first = true;
  const base::BackoffOptions backoff{options_.retry_initial, options_.retry_max};
  const base::BootClock::duration wait = base::BackoffFor(backoff, starts.tries, deps_.rng);
  co_await WaitWhileStarting(generation, wait);
  if (error.proves_no_effect()) starts.silent_since = deps_.clock.Boot();
  if (!starts.first && !provider->provider->capabilities().start_idempotent()) co_return true;
  // What became of it may be known by now, without another start.
  absl::StatusOr<pb::SandboxView> seen = co_await InspectNow(id);
  co_return !GaveUpStart(generation, error, starts);
}

// Looks until the provider attests that no Start had an effect and none can have one any more: the
// boot marker of this very instance is there, nothing began, and what was sent has settled. False:
// the task has moved on, or nobody can tell; then it is fenced, and ends LOST.
asio::awaitable<bool> Engine::ProveNotBegun(base::SandboxId id, Generation generation,
                                            Starts& starts) {
  const base::BackoffOptions backoff{options_.retry_initial, options_.retry_max};
  for (int looks = 0;; ++looks) {
    absl::StatusOr<pb::SandboxView> view = co_await InspectNow(id);
    TaskRow* row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_STARTING || stopping_) co_return false;
    const ProviderState* provider = FindProvider(row->provider);
    const base::BootTime now = deps_.clock.Boot();
    const base::BootTime settled = starts.last_sent + Settle(*provider);
    const bool not_begun = view.ok() && view->state() == pb::SandboxView::CREATED &&
                           view->boot_marker() && !view->started_marker();
    if (not_begun && now >= settled) co_return true;
    // That a provider cannot be reached is no end of its tasks.
    if (!view.ok()) starts.silent_since = now;
    const base::BootClock::duration patience = kSilentStartTimeouts * options_.start_timeout;
    if (now >= settled && now - starts.silent_since >= patience) {
      RequestStop(*row, MakeStop(*row, v1::REASON_SANDBOX_LOST,
                                 "nothing proves whether its command began"));
      co_return false;
    }
    co_await WaitWhileStarting(generation, base::BackoffFor(backoff, looks, deps_.rng));
  }
}

// True: silent for too long, and its stop is under way. It may have run, so there is no other
// attempt; it ends once it is fenced.
bool Engine::GaveUpStart(Generation generation, const pb::ProviderError& error, Starts& starts) {
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->state() != v1::TASK_STATE_STARTING || stopping_) return false;
  const ProviderState* provider = FindProvider(row->provider);
  const bool unreachable = provider == nullptr || provider->unreachable_since.has_value();
  // A refusal is a word of it; and that a provider cannot be reached is no end of its tasks.
  if (unreachable || error.proves_no_effect()) starts.silent_since = deps_.clock.Boot();
  const base::BootClock::duration patience = kSilentStartTimeouts * options_.start_timeout;
  if (deps_.clock.Boot() - starts.silent_since < patience) return false;
  const std::string waited = absl::FormatDuration(absl::FromChrono(patience));
  RequestStop(*row, MakeStop(*row, v1::REASON_START_FAILED,
                             absl::StrCat("nothing was heard of its start for ", waited, ": ",
                                          error.message())));
  return true;
}

// A cancel does not wait for the back-off to pass.
asio::awaitable<void> Engine::WaitWhileStarting(Generation generation,
                                                base::BootClock::duration wait) {
  const base::BootTime until = deps_.clock.Boot() + wait;
  while (!stopping_ && deps_.clock.Boot() < until) {
    const TaskRow* row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_STARTING) co_return;
    absl::Status slept =
        co_await deps_.clock.SleepUntil(std::min(until, deps_.clock.Boot() + kStateCheck));
    if (!slept.ok()) co_return;
  }
}

}  // namespace boxkeeper::daemon
