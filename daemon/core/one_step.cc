// One-step launch: Create carries the command, so the create intent is the start intent. From the
// moment it may leave, user code may run, and only a proof lets another create follow it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// How often it is looked whether the command began; hints come sooner.
constexpr std::chrono::milliseconds kLookFirst{50};
constexpr std::chrono::milliseconds kLookMax{5'000};
// So many create_timeouts a task may be STARTING without a word of it from a provider that is
// there.
constexpr int kSilentCreateTimeouts = 3;

}  // namespace

bool Engine::IsOneStep(const std::string& provider) {
  const ProviderState* state = FindProvider(provider);
  return state != nullptr && state->provider->capabilities().launch() == pb::Capabilities::ONE_STEP;
}

// Completes `request` and journals the start intent. False: it is not to be created.
asio::awaitable<bool> Engine::IntendCreate(base::SandboxId id, pb::CreateRequest& request) {
  const Generation generation = table_.FindSandbox(id)->record.generation();
  if (TaskRow* row = table_.Find(generation); Expired(*row)) {
    if (row->state() == v1::TASK_STATE_CREATING) {
      Expire(*row);
      DropUncreated(*table_.FindSandbox(id));
      co_return false;
    }
  }
  // The spool is watched before anything can be written to it.
  co_await TrackLog(generation);
  absl::StatusOr<pb::LaunchRequest> launch = co_await MakeLaunch(generation);
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr || stopping_) co_return false;
  TaskRow* row = table_.Find(generation);
  if (!IsToBeCreated(row, *sandbox)) {
    DropUnwanted(*sandbox);
    co_return false;
  }
  if (!launch.ok()) {
    const std::string why =
        absl::StrCat("its launch could not be prepared: ", std::string(launch.status().message()));
    if (row->state() == v1::TASK_STATE_CREATING) {
      CreateFailed(row, *sandbox, providers::MakeProviderError(pb::TRANSIENT, why, true));
    } else {
      RequestStop(*row, MakeStop(*row, v1::REASON_START_FAILED, why));
    }
    co_return false;
  }
  *request.mutable_launch() = *std::move(launch);
  if (row->state() == v1::TASK_STATE_CREATING) {
    rec::SandboxRecord record = sandbox->record;
    record.set_state(rec::SandboxRecord::START_INTENDED);
    WriteSandbox(std::move(record));
    timers_.Clear(generation, TimerKind::kStartDeadline);
    Move(*row, TaskEvent::kStartIntended, nullptr);
  }
  co_return true;
}

// CREATING: a first create. STARTING without a handle: the same one again.
bool Engine::IsToBeCreated(const TaskRow* row, const SandboxRow& sandbox) const {
  if (row == nullptr || row->status.sandbox_id() != sandbox.record.id()) return false;
  if (row->state() == v1::TASK_STATE_CREATING) return true;
  return row->state() == v1::TASK_STATE_STARTING && sandbox.record.handle().empty();
}

// Its create did not leave, and is wanted no more: cancelled, expired, or stopped.
void Engine::DropUnwanted(SandboxRow& sandbox) {
  creating_.erase(sandbox.id);
  if (sandbox.record.state() != rec::SandboxRecord::START_INTENDED) return DropUncreated(sandbox);
  // An earlier create may have had an effect: who stops the task finds out.
  if (!uncertain_.contains(sandbox.id)) Withdraw(sandbox);
}

// Proved: no create of it had an effect. The start intent is void.
void Engine::Withdraw(SandboxRow& sandbox) {
  TaskRow* row = table_.Find(sandbox.record.generation());
  const bool current = row != nullptr && row->status.sandbox_id() == sandbox.record.id();
  ForgetSandbox(sandbox);
  if (!current) return;
  if (row->state() == v1::TASK_STATE_STARTING) {
    Move(*row, TaskEvent::kStartWithdrawn,
         [](rec::TaskStatus& status) { status.clear_sandbox_id(); });
    Enlist(*row);
  } else if (row->state() == v1::TASK_STATE_STOPPING) {
    FinishStopped(*row, [](rec::TaskStatus& status) { MarkNeverStarted(status); });
  }
}

// Leaves out what was stopped meanwhile; returns how many.
size_t Engine::KeepCreatable(std::vector<base::SandboxId>& ids,
                             std::vector<pb::CreateRequest>& requests) {
  size_t kept = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!MayCreateNow(ids[i])) continue;
    if (kept != i) {
      ids[kept] = ids[i];
      requests[kept] = std::move(requests[i]);
    }
    ++kept;
  }
  const size_t dropped = ids.size() - kept;
  ids.resize(kept);
  requests.resize(kept);
  return dropped;
}

// After the intent is synced, before the create leaves.
bool Engine::MayCreateNow(const base::SandboxId& id) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr) return false;
  const TaskRow* row = table_.Find(sandbox->record.generation());
  if (!stopping_ && IsToBeCreated(row, *sandbox)) return true;
  DropUnwanted(*sandbox);
  return false;
}

void Engine::OnOneStepOutcome(SandboxRow& sandbox, const pb::CreateOutcome& outcome) {
  const base::SandboxId id = sandbox.id;
  creating_.erase(id);
  TaskRow* row = table_.Find(sandbox.record.generation());
  const bool current = row != nullptr && row->status.sandbox_id() == sandbox.record.id();
  if (!outcome.has_error()) {
    TakeHandle(sandbox, outcome.handle());
    if (!current || IsTerminal(row->state())) return Cleanup(*table_.FindSandbox(id));
    return SpawnOneStep(row->generation);
  }
  if (!outcome.error().proves_no_effect()) {
    uncertain_.insert_or_assign(id, deps_.clock.Boot());
  } else if (!uncertain_.contains(id)) {
    if (!current || row->state() != v1::TASK_STATE_STARTING) return Withdraw(sandbox);
    return CreateFailed(row, sandbox, outcome.error());
  }
  if (current && row->state() == v1::TASK_STATE_STARTING) SpawnOneStep(row->generation);
}

void Engine::TakeHandle(SandboxRow& sandbox, const std::string& handle) {
  uncertain_.erase(sandbox.id);
  rec::SandboxRecord record = sandbox.record;
  record.set_handle(handle);
  WriteSandbox(std::move(record));
}

void Engine::SpawnOneStep(Generation generation) {
  if (stopping_ || !driven_.insert(generation).second) return;
  Spawn("one step", [this, generation] { return RunOneStep(generation); });
}

// Looks until the provider attests that the command began, or what became of its create.
asio::awaitable<void> Engine::RunOneStep(Generation generation) {
  std::chrono::milliseconds wait = kLookFirst;
  Finding finding;
  base::BootTime silent_since = deps_.clock.Boot();
  while (!stopping_) {
    TaskRow* row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_STARTING) break;
    SandboxRow* sandbox = table_.SandboxOf(*row);
    const ProviderState* provider = FindProvider(row->provider);
    if (sandbox == nullptr || provider == nullptr) break;
    const base::SandboxId id = sandbox->id;
    if (!sandbox->record.handle().empty()) {
      absl::StatusOr<pb::SandboxView> seen = co_await InspectNow(id);
    } else if (!creating_.contains(id)) {
      co_await FindCreated(id, finding);
    }
    row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_STARTING || stopping_) break;
    // Before it has settled nothing can be expected.
    const base::BootClock::duration patience =
        kSilentCreateTimeouts * options_.create_timeout + Settle(*provider);
    // That a provider cannot be reached is no end of its tasks.
    if (provider->unreachable_since.has_value()) silent_since = deps_.clock.Boot();
    if (deps_.clock.Boot() - silent_since >= patience) {
      RequestStop(*row, MakeStop(*row, v1::REASON_START_FAILED,
                                 absl::StrCat("nothing was heard of its start for ",
                                              absl::FormatDuration(absl::FromChrono(patience)))));
      break;
    }
    co_await WaitWhileStarting(generation, wait);
    wait = std::min(wait * 2, kLookMax);
  }
  driven_.erase(generation);
  const TaskRow* row = table_.Find(generation);
  if (row != nullptr && row->state() == v1::TASK_STATE_STOPPING) SpawnStop(generation);
}

// A create whose answer was lost: what it made is found by its name. Not there twice, list_lag
// apart, once nothing can come any more: it is over, and nobody can say whether it ran.
asio::awaitable<void> Engine::FindCreated(base::SandboxId id, Finding& finding) {
  const Generation generation = table_.FindSandbox(id)->record.generation();
  ProviderState* provider = FindProvider(table_.FindSandbox(id)->record.provider());
  absl::StatusOr<pb::SandboxView> found =
      co_await provider->provider->Find(deps_.naming.Name(id), CallDeadline(*provider));
  NoteCall(*provider, "find", found.status());
  SandboxRow* sandbox = table_.FindSandbox(id);
  TaskRow* row = table_.Find(generation);
  const bool open = sandbox != nullptr && sandbox->record.handle().empty() && row != nullptr &&
                    MayRun(row->state()) && !creating_.contains(id) && !stopping_;
  if (!open || !found.ok()) co_return;
  if (found->state() != pb::SandboxView::ABSENT) {
    TakeHandle(*sandbox, found->handle());
    Observe(*table_.FindSandbox(id), *found);
    co_return;
  }
  const base::BootTime now = deps_.clock.Boot();
  const pb::Capabilities& capabilities = provider->provider->capabilities();
  const bool stopping = row->state() == v1::TASK_STATE_STOPPING;
  const base::BootTime settled = uncertain_.emplace(id, now).first->second + Settle(*provider);
  const std::chrono::milliseconds lag(ToMillis(capabilities.list_lag()));
  if (!finding.absent_since.has_value()) {
    finding.absent_since = now;
    co_return;
  }
  const bool hasty = base::Mutated("one_step_repeated_early");
  if (!hasty && (now < settled || now - *finding.absent_since < lag)) co_return;
  // An ended one would have been found. Not before it has settled: the first one would arrive at a
  // name that is free again once the second one had run and was destroyed.
  const bool again =
      capabilities.name_unique_incl_ended() || base::Mutated("one_step_created_again");
  if (again && !stopping) {
    finding.absent_since.reset();
    co_return AddToBatch(id);
  }
  const bool never_ran = capabilities.name_unique_incl_ended();
  auto edit = [never_ran](rec::TaskStatus& status) {
    status.set_user_code_started(never_ran ? v1::USER_CODE_STARTED_NO
                                           : v1::USER_CODE_STARTED_UNKNOWN);
  };
  if (stopping) co_return FinishStopped(*row, edit);
  Move(*row, TaskEvent::kExecutionLost, [&](rec::TaskStatus& status) {
    edit(status);
    status.set_reason(v1::REASON_CREATE_UNCERTAIN);
    status.set_message("the answer to its create was lost, and no sandbox of it is found");
  });
  AfterEnd(*row);
}

}  // namespace boxkeeper::daemon
