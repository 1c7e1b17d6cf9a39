// Ends that are decided from outside: cancel, lapsed leases, replacement, timeouts seen here,
// abandon.
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// How often a stop looks whether it is done; hints and exit events come sooner.
constexpr std::chrono::milliseconds kStopPollFirst{50};
constexpr std::chrono::milliseconds kStopPollMax{1'000};
// After TERM and its grace period, this much later it is KILL whatever the provider did.
constexpr std::chrono::milliseconds kForceMargin{2'000};
// A signal that brought no end is sent again: it may have been lost behind its answer.
constexpr std::chrono::milliseconds kSignalAgain{10'000};
// So long after KILL the provider is asked for the fence itself, and then to destroy the sandbox.
constexpr std::chrono::milliseconds kFenceAfter{5'000};
constexpr std::chrono::milliseconds kDestroyAfter{30'000};
// Cancelled in one go before the loop takes a breath.
constexpr int kCancelsPerSlice = 128;

TaskEvent EndOfStop(v1::Reason reason) {
  switch (reason) {
    case v1::REASON_RUN_TIMEOUT:
    case v1::REASON_START_FAILED:
      return TaskEvent::kTimeoutFenced;
    case v1::REASON_SANDBOX_LOST:
    case v1::REASON_CREATE_UNCERTAIN:
      return TaskEvent::kExecutionLost;
    default:
      return TaskEvent::kStopped;
  }
}

}  // namespace

// With the task's own grace period.
rec::Stop Engine::MakeStop(const TaskRow& row, v1::Reason reason, std::string message) const {
  rec::Stop stop;
  stop.set_reason(reason);
  stop.set_message(std::move(message));
  stop.set_grace_ms(row.grace_ms < 0 ? options_.cancel_grace.count() : row.grace_ms);
  return stop;
}

v1::CancelResult::Outcome Engine::CancelRow(TaskRow& row, rec::Stop stop) {
  if (IsTerminal(row.state())) return v1::CancelResult::ALREADY_TERMINAL;
  if (MayRun(row.state())) {
    RequestStop(row, std::move(stop));
    return v1::CancelResult::STOPPING;
  }
  // No start intent: user code never starts (I12). A sandbox that is being made goes when it is
  // there.
  Unlist(row);
  SandboxRow* sandbox = table_.SandboxOf(row);
  Move(row, TaskEvent::kCancelled, [&stop](rec::TaskStatus& status) {
    status.set_reason(stop.reason());
    status.set_message(stop.message());
    *status.mutable_stop() = std::move(stop);
    MarkNeverStarted(status);
  });
  if (sandbox != nullptr && sandbox->record.state() == rec::SandboxRecord::READY) Cleanup(*sandbox);
  return v1::CancelResult::CANCELLED;
}

// From STARTING or RUNNING to STOPPING; a second request may only make it harsher.
void Engine::RequestStop(TaskRow& row, rec::Stop stop) {
  stop.set_at_ms(NowMs());
  if (row.state() == v1::TASK_STATE_STOPPING) {
    const rec::Stop& old = row.status.stop();
    if (!stop.force() || old.force()) return;
    Amend(row, v1::EVENT_TYPE_UNSPECIFIED,
          [](rec::TaskStatus& status) { status.mutable_stop()->set_force(true); });
  } else {
    Move(row, TaskEvent::kStopRequested, [&stop](rec::TaskStatus& status) {
      status.set_reason(stop.reason());
      status.set_message(stop.message());
      *status.mutable_stop() = std::move(stop);
    });
  }
  SpawnStop(row.generation);
}

void Engine::SpawnStop(Generation generation) {
  if (base::Mutated("signal_before_sync") && !stopping_ && driven_.insert(generation).second) {
    return Spawn("stop", [this, generation] { return RunStop(generation); });
  }
  journal_.WhenSynced([this, generation] {
    // A start in flight comes first: RunStart calls here when it is done.
    if (stopping_ || !driven_.insert(generation).second) return;
    Spawn("stop", [this, generation] { return RunStop(generation); });
  });
}

// Signals, looks, fences and in the end destroys, until the end is attested or nothing of it can
// run any more. The end itself is applied by Observe.
asio::awaitable<void> Engine::RunStop(Generation generation) {
  std::chrono::milliseconds wait = kStopPollFirst;
  StopCalls stopping;
  stopping.begun = deps_.clock.Boot();
  Finding finding;
  while (!stopping_) {
    TaskRow* row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_STOPPING) break;
    SandboxRow* sandbox = table_.SandboxOf(*row);
    if (sandbox == nullptr || FindProvider(row->provider) == nullptr) break;
    const base::SandboxId id = sandbox->id;
    if (!sandbox->record.handle().empty()) {
      const bool fenced = co_await StopOnce(id, generation, stopping);
      if (fenced) break;
    } else if (!creating_.contains(id)) {
      co_await FindCreated(id, finding);
    }
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + wait);
    if (!slept.ok()) break;
    wait = std::min(wait * 2, kStopPollMax);
  }
  driven_.erase(generation);
}

// True: it is over.
asio::awaitable<bool> Engine::StopOnce(base::SandboxId id, Generation generation,
                                       StopCalls& stopping) {
  co_await SignalStopped(id, generation, stopping);
  absl::StatusOr<pb::SandboxView> view = co_await InspectNow(id);
  const TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->state() != v1::TASK_STATE_STOPPING) co_return true;
  if (!stopping.signalled || !view.ok()) co_return false;
  if (base::Mutated("stop_without_fence")) {
    FinishStopped(*table_.Find(generation),
                  [](rec::TaskStatus& status) { status.set_fenced(true); });
    co_return true;
  }
  co_return co_await FenceStopped(id, generation, *std::move(view), stopping);
}

asio::awaitable<void> Engine::SignalStopped(base::SandboxId id, Generation generation,
                                            StopCalls& stopping) {
  const TaskRow* row = table_.Find(generation);
  const SandboxRow* sandbox = table_.FindSandbox(id);
  ProviderState* provider = FindProvider(row->provider);
  const base::BootTime now = deps_.clock.Boot();
  providers::SignalRequest request;
  request.grace = std::chrono::milliseconds(row->status.stop().grace_ms());
  request.force = row->status.stop().force() || now - stopping.begun > request.grace + kForceMargin;
  const bool harsher = request.force && !stopping.forced_at.has_value();
  const bool again = stopping.forced_at.has_value() && now - stopping.sent_at >= kSignalAgain;
  if (stopping.signalled && !harsher && !again) co_return;
  std::string handle = sandbox->record.handle();
  CallScope call(calls_);
  base::Failpoint("signal.before_call");
  absl::Status sent =
      co_await provider->provider->Signal(std::move(handle), request, CallDeadline(*provider));
  base::Failpoint("signal.after_answer");
  NoteCall(*provider, "signal", sent);
  // Where there is no signal, the fence and the destruction are left.
  stopping.signalled = sent.ok() || absl::IsUnimplemented(sent);
  if (!stopping.signalled) co_return;
  stopping.sent_at = deps_.clock.Boot();
  if (request.force && !stopping.forced_at.has_value()) stopping.forced_at = stopping.sent_at;
}

// A start that never arrived leaves a sandbox that only waits: fence it, and the stop is complete.
// What did not end by KILL, or nobody can say of whether it ended, is fenced or destroyed too.
asio::awaitable<bool> Engine::FenceStopped(base::SandboxId id, Generation generation,
                                           pb::SandboxView view, const StopCalls& stopping) {
  const bool never_began = view.state() == pb::SandboxView::CREATED && !view.started_marker();
  const base::BootTime now = deps_.clock.Boot();
  if (view.state() == pb::SandboxView::ABSENT) co_return false;  // InspectNow counts the look-ups
  if (!never_began && (!stopping.forced_at || now - *stopping.forced_at < kFenceAfter)) {
    co_return false;
  }
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr) co_return true;
  ProviderState* provider = FindProvider(sandbox->record.provider());
  const std::string handle = sandbox->record.handle();
  base::Failpoint("fence.before_call");
  absl::Status fenced = co_await provider->provider->Fence(handle, CallDeadline(*provider));
  base::Failpoint("fence.after_answer");
  NoteCall(*provider, "fence", fenced);
  if (!fenced.ok()) {
    const bool patient = !stopping.forced_at || now - *stopping.forced_at < kDestroyAfter;
    const bool no_fence = absl::IsFailedPrecondition(fenced) || absl::IsUnimplemented(fenced);
    if (patient || !no_fence) co_return false;
    // What is gone for two look-ups does not run.
    CallScope call(calls_);
    absl::Status destroyed = co_await provider->provider->Destroy(handle, CallDeadline(*provider));
    NoteCall(*provider, "destroy", destroyed);
    co_return false;
  }
  // What ended it may have left a record; and a start may have arrived before the fence.
  absl::StatusOr<pb::SandboxView> last = co_await InspectNow(id);
  TaskRow* row = table_.Find(generation);
  if (row == nullptr || row->state() != v1::TASK_STATE_STOPPING) co_return true;
  const bool never_ran = never_began && last.ok() && last->state() == pb::SandboxView::CREATED &&
                         !last->started_marker();
  // Its output is fetched before the end is told.
  pb::SandboxView ended;
  ended.set_state(pb::SandboxView::ENDED);
  ended.mutable_exit()->set_lost(true);
  ended.mutable_exit()->set_fence_confirmed(true);
  if (!never_ran && DrainFirst(*row, ended, false)) co_return false;
  FinishStopped(*row, [never_ran](rec::TaskStatus& status) {
    if (never_ran) {
      status.set_user_code_started(v1::USER_CODE_STARTED_NO);
    } else if (status.started_at_ms() == 0) {
      status.set_user_code_started(v1::USER_CODE_STARTED_UNKNOWN);
    }
    status.set_fenced(true);
  });
  co_return true;
}

// The end that was asked for, once the provider attested that it came about.
void Engine::FinishStopped(TaskRow& row, const std::function<void(rec::TaskStatus&)>& edit) {
  Move(row, EndOfStop(row.status.stop().reason()), [&](rec::TaskStatus& status) {
    edit(status);
    status.set_reason(status.stop().reason());
    status.set_message(status.stop().message());
  });
  AfterEnd(row);
}

asio::awaitable<absl::StatusOr<v1::CancelTasksResponse>> Engine::CancelTasks(
    v1::CancelTasksRequest request) {
  v1::CancelTasksResponse response;
  auto cancel = [&](TaskRow& row, const v1::TaskRef& ref) {
    rec::Stop stop = MakeStop(row, v1::REASON_CANCELLED,
                              request.reason().empty() ? "cancelled" : request.reason());
    stop.set_force(request.force());
    if (request.has_grace()) stop.set_grace_ms(ToMillis(request.grace()));
    stop.set_suppress_events(request.suppress_events());
    v1::CancelResult& result = *response.add_results();
    result.set_id(row.id.ToString());
    *result.mutable_ref() = ref;
    result.set_outcome(CancelRow(row, std::move(stop)));
  };
  for (const v1::TaskRef& ref : request.tasks()) {
    TaskRow* row = Resolve(ref);
    if (row == nullptr) {
      v1::CancelResult& result = *response.add_results();
      *result.mutable_ref() = ref;
      result.set_outcome(v1::CancelResult::NOT_FOUND);
      continue;
    }
    // A key means the live task and its successor: the successor first, or it would start.
    const KeyEntry* key = ref.has_key() ? table_.FindKey(*row->key) : nullptr;
    const Generation live = key == nullptr ? 0 : key->live;
    const Generation successor = key == nullptr ? 0 : key->successor;
    if (TaskRow* waiting = table_.Find(successor)) cancel(*waiting, ref);
    TaskRow* now = table_.Find(live);
    if (now != nullptr || successor == 0) cancel(now == nullptr ? *row : *now, ref);
  }
  if (request.tasks().empty()) {
    std::vector<Generation> chosen = co_await Select(request.filter(), INT64_MAX, SIZE_MAX);
    int done = 0;
    for (const Generation generation : chosen) {
      if (++done % kCancelsPerSlice == 0) {
        co_await asio::post(deps_.executor, asio::use_awaitable);
      }
      TaskRow* row = table_.Find(generation);
      if (row == nullptr || IsTerminal(row->state())) continue;
      v1::TaskRef ref;
      ref.set_id(row->id.ToString());
      cancel(*row, ref);
    }
  }
  if (!base::Mutated("cancel_answered_early")) co_await Durable();
  co_return response;
}

asio::awaitable<absl::StatusOr<v1::AbandonTaskResponse>> Engine::AbandonTask(
    v1::AbandonTaskRequest request) {
  v1::TaskRef ref;
  ref.set_id(request.id());
  TaskRow* row = Resolve(ref);
  if (row == nullptr) {
    co_return ApiError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                       absl::StrCat("no task ", request.id()));
  }
  const ProviderState* provider = FindProvider(row->provider);
  const bool unreachable = provider == nullptr || provider->unreachable_since.has_value();
  const bool allowed =
      row->state() == v1::TASK_STATE_STOPPING || (MayRun(row->state()) && unreachable);
  if (!allowed) {
    co_return ApiError(
        absl::StatusCode::kFailedPrecondition, "NOT_ABANDONABLE",
        absl::StrCat("task is ", std::string(StateName(row->state())),
                     "; only a task that is STOPPING, or may run at a provider that is not "
                     "reachable, can be abandoned: cancel it first"));
  }
  Move(*row, TaskEvent::kAbandoned, [&request](rec::TaskStatus& status) {
    status.set_reason(v1::REASON_SANDBOX_LOST);
    status.set_message(absl::StrCat("abandoned by an operator",
                                    request.reason().empty() ? "" : ": " + request.reason(),
                                    "; fence not confirmed"));
    if (status.started_at_ms() == 0) status.set_user_code_started(v1::USER_CODE_STARTED_UNKNOWN);
    // The operator's word: its successor may start.
    status.set_fenced(true);
  });
  AfterEnd(*row);
  const Generation generation = row->generation;
  absl::StatusOr<v1::Task> view = co_await View(generation, nullptr);
  if (!view.ok()) co_return view.status();
  co_await Durable();
  v1::AbandonTaskResponse response;
  *response.mutable_task() = *std::move(view);
  co_return response;
}

absl::StatusOr<v1::RenewLeaseResponse> Engine::RenewLease(v1::RenewLeaseRequest request) {
  v1::RenewLeaseResponse response;
  for (const std::string& id : request.ids()) {
    v1::TaskRef ref;
    ref.set_id(id);
    TaskRow* row = Resolve(ref);
    if (row == nullptr || IsTerminal(row->state())) {
      response.add_not_found(id);
    } else if (row->lease_cancels && row->lease_ttl_ms > 0) {
      timers_.Set(row->generation, TimerKind::kLease,
                  deps_.clock.Boot() + std::chrono::milliseconds(row->lease_ttl_ms));
    }
  }
  return response;
}

}  // namespace boxkeeper::daemon
