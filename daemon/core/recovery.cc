// Start and stop: the store becomes memory, every task is taken up where it was, and left so that
// the next start can.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// For the coroutines that are left after the calls have come back or were given up.
constexpr std::chrono::milliseconds kJoinMargin{1'000};
// Taken up in one go before the loop takes a breath (2 ms of work at the most, design section 2).
constexpr size_t kResumedPerSlice = 1'000;

}  // namespace

asio::awaitable<absl::Status> Engine::Recover() {
  auto visit = [this](Position position, std::string_view bytes) -> absl::Status {
    rec::Record record;
    if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::DataLossError(absl::StrCat("record ", position, " cannot be parsed"));
    }
    return table_.Apply(position, record);
  };
  absl::Status loaded = deps_.store.Load(visit);
  if (!loaded.ok()) co_return loaded;
  base::Failpoint("recover.loaded");
  const rec::Meta& meta = table_.meta();
  if (!meta.deployment_id().empty() && meta.deployment_id() != options_.deployment_id) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        "this store belongs to deployment ", meta.deployment_id(), ", the identity is ",
        options_.deployment_id, ": restore identity/ beside the store"));
  }
  const Position last = deps_.store.last_position();
  journal_.StartAfter(last);
  epoch_ = meta.epoch() + (base::Mutated("epoch_not_raised") && meta.epoch() > 0 ? 0 : 1);
  BeginIncarnation(last);
  first_generation_ = table_.next_generation();
  const bool same_boot = meta.boot_id() == deps_.clock.BootId() && meta.boot_first_position() > 0;
  boot_first_position_ = same_boot ? meta.boot_first_position() : last + 1;
  WriteMeta();
  // The epoch is durable before any provider hears of it.
  co_await Durable();
  base::Failpoint("recover.epoch_synced");
  for (const auto& [id, sandbox] : table_.sandboxes()) {
    if (ProviderState* provider = FindProvider(sandbox->record.provider())) ++provider->sandboxes;
  }
  for (const auto& [generation, row] : table_.tasks()) {
    RepinBlobs(*row);
    if (!IsActive(row->state())) continue;
    ++active_;
    if (ProviderState* provider = FindProvider(row->provider)) ++provider->active;
  }
  recovered_ = true;
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Engine::Start() {
  if (!recovered_) co_return absl::FailedPreconditionError("Recover comes first");
  std::vector<Generation> all;
  all.reserve(table_.tasks().size());
  for (const auto& [generation, row] : table_.tasks()) all.push_back(generation);
  size_t resumed = 0;
  for (const Generation generation : all) {
    if (TaskRow* row = table_.Find(generation)) Resume(*row);
    if (++resumed % kResumedPerSlice == 0) {
      co_await asio::post(deps_.executor, asio::use_awaitable);
    }
  }
  // Not before: the first one to be dispatched is the first of all.
  started_ = true;
  base::Failpoint("recover.resumed");
  for (auto& [name, provider] : providers_) {
    Spawn("poll " + name, [this, &provider] { return PollLoop(provider); });
  }
  Spawn("retention", [this] { return RetentionLoop(); });
  RequestDispatch();
  co_return absl::OkStatus();
}

void Engine::Resume(TaskRow& row) {
  if (IsTerminal(row.state())) {
    // Ends of an earlier boot are dated by wall time; from here on only the interval counts.
    const base::BootTime ended =
        Instant(row.status_position, row.status.ended_boot_ms(), row.status.ended_at_ms());
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(ended.time_since_epoch());
    ended_.insert({since.count(), row.generation});
  } else if (row.lease_cancels && row.lease_ttl_ms > 0) {
    timers_.Set(row.generation, TimerKind::kLease,
                deps_.clock.Boot() + std::chrono::milliseconds(row.lease_ttl_ms));
  }
  const Generation generation = row.generation;
  const bool unstored = IsTerminal(row.state()) && !row.status.log_complete();
  if (unstored && row.status.user_code_started() == v1::USER_CODE_STARTED_NO) {
    RecordEndLater(generation);
  } else if (log_port_ != nullptr && (unstored || MayRun(row.state()))) {
    Spawn("log", [this, generation]() -> asio::awaitable<void> { co_await TrackLog(generation); });
  }
  switch (row.state()) {
    case v1::TASK_STATE_QUEUED:
      return Enlist(row);
    case v1::TASK_STATE_CREATING:
      if (Expired(row)) return Expire(row);
      if (row.start_deadline_ms != 0) {
        const auto left = std::chrono::milliseconds(row.start_deadline_ms - row.accepted_at_ms);
        const base::BootTime accepted =
            Instant(row.accepted_position, row.accepted_boot_ms, row.accepted_at_ms);
        timers_.Set(generation, TimerKind::kStartDeadline, accepted + left);
      }
      return;
    case v1::TASK_STATE_RUNNING:
      ArmRunTimeout(row);
      return PullOutput(row);
    case v1::TASK_STATE_STOPPING:
      return PullOutput(row);
    default:
      return;
  }
}

// A blob that is gone from the disk is the launcher's to complain of, with the file's name.
void Engine::RepinBlobs(TaskRow& row) {
  if (row.blobs == nullptr) return;
  std::vector<std::string> pinned;
  std::vector<providers::FieldViolation> missing;
  if (!IsTerminal(row.state())) pinned = PinBlobs(*row.blobs, &missing);
  for (const auto& violation : missing) {
    base::LogWarning("a task's file is missing",
                     {{"task_id", row.id.ToString()}, {"why", violation.description}});
  }
  row.blobs =
      pinned.empty() ? nullptr : std::make_unique<std::vector<std::string>>(std::move(pinned));
}

asio::awaitable<void> Engine::OpenProvider(ProviderState& provider) {
  absl::Status opened = co_await provider.provider->Open(CallDeadline(provider));
  NoteCall(provider, "open", opened);
  if (!opened.ok()) {
    base::LogWarning("provider not open", {{"provider", provider.name}, {"error", opened}});
    co_return;
  }
  base::Failpoint("provider.opened");
  provider.opened = true;
  provider.provider->OnHint(
      [this, &provider](const providers::ProviderHint& hint) { OnHint(provider, hint); });
  std::vector<base::SandboxId> ours;
  for (const auto& [id, sandbox] : table_.sandboxes()) {
    if (sandbox->record.provider() == provider.name) ours.push_back(id);
  }
  size_t resumed = 0;
  for (const base::SandboxId& id : ours) {
    if (SandboxRow* sandbox = table_.FindSandbox(id)) ResumeSandbox(*sandbox);
    if (++resumed % kResumedPerSlice == 0) {
      co_await asio::post(deps_.executor, asio::use_awaitable);
    }
  }
  RequestDispatch();
  absl::Status cycle = co_await provider.watcher->Cycle();
  if (!cycle.ok())
    base::LogWarning("first look failed", {{"provider", provider.name}, {"error", cycle}});
  NoteCycle(provider, cycle);
}

// The crash table of design section 4, for what the store says of a sandbox.
void Engine::ResumeSandbox(SandboxRow& sandbox) {
  TaskRow* row = table_.Find(sandbox.record.generation());
  const bool current = row != nullptr && row->status.sandbox_id() == sandbox.record.id();
  const v1::TaskState state = current ? row->state() : v1::TASK_STATE_UNSPECIFIED;
  const base::SandboxId id = sandbox.id;
  switch (sandbox.record.state()) {
    case rec::SandboxRecord::CREATE_INTENDED:
      if (state != v1::TASK_STATE_CREATING) return Cleanup(sandbox);
      return ResumeCreating(*row, id);
    case rec::SandboxRecord::READY:
      if (state == v1::TASK_STATE_CREATING) {
        const Generation generation = row->generation;
        return Spawn("resume", [this, id, generation] { return ResumeReady(id, generation); });
      }
      return Cleanup(sandbox);
    case rec::SandboxRecord::START_INTENDED: {
      if (!current || IsTerminal(state)) return Cleanup(sandbox);
      const Generation generation = row->generation;
      // Its one-step create may have had an effect, or may still have one.
      if (sandbox.record.handle().empty()) uncertain_.emplace(id, deps_.clock.Boot());
      if (state == v1::TASK_STATE_STOPPING) return SpawnStop(generation);
      if (state == v1::TASK_STATE_STARTING) {
        if (IsOneStep(row->provider)) return SpawnOneStep(generation);
        Spawn("resume", [this, id, generation] { return ResumeStarting(id, generation); });
      }
      return;  // RUNNING: the watcher's first cycle says how it is
    }
    default:
      return Cleanup(sandbox);
  }
}

// Where a name is given once, creating again under it adopts what is there; so it is where no
// create could have left. Elsewhere the sandbox is looked for first.
void Engine::ResumeCreating(const TaskRow& row, const base::SandboxId& id) {
  const ProviderState* provider = FindProvider(row.provider);
  if (IsOneStep(row.provider) || provider->provider->capabilities().name_unique_incl_ended()) {
    return AddToBatch(id);
  }
  const Generation generation = row.generation;
  Spawn("resume", [this, id, generation] { return FindWinner(id, generation); });
}

// What an earlier process may have made, perhaps twice. The one that Find tells, the oldest, is
// journalled as the winner, and only it will be started; others are spares, whenever they show.
asio::awaitable<void> Engine::FindWinner(base::SandboxId id, Generation generation) {
  base::Backoff backoff({options_.retry_initial, options_.retry_max}, deps_.rng);
  while (!stopping_) {
    SandboxRow* sandbox = table_.FindSandbox(id);
    ProviderState* provider =
        sandbox == nullptr ? nullptr : FindProvider(sandbox->record.provider());
    if (provider == nullptr) co_return;
    absl::StatusOr<pb::SandboxView> found =
        co_await provider->provider->Find(deps_.naming.Name(id), CallDeadline(*provider));
    NoteCall(*provider, "find", found.status());
    sandbox = table_.FindSandbox(id);
    TaskRow* row = table_.Find(generation);
    if (sandbox == nullptr || stopping_) co_return;
    if (row == nullptr || row->state() != v1::TASK_STATE_CREATING) co_return Cleanup(*sandbox);
    if (found.ok() && found->state() != pb::SandboxView::ABSENT) {
      rec::SandboxRecord record = sandbox->record;
      record.set_handle(found->handle());
      record.set_state(rec::SandboxRecord::READY);
      WriteSandbox(std::move(record));
      co_return co_await ResumeReady(id, generation);
    }
    if (found.ok() && AbsentAgain(id, *provider)) co_return AddToBatch(id);
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + backoff.Next());
    if (!slept.ok()) co_return;
  }
}

// Started if it is still there; otherwise, as nothing was started, another attempt.
asio::awaitable<void> Engine::ResumeReady(base::SandboxId id, Generation generation) {
  base::Backoff backoff({options_.retry_initial, options_.retry_max}, deps_.rng);
  while (!stopping_) {
    SandboxRow* sandbox = table_.FindSandbox(id);
    ProviderState* provider =
        sandbox == nullptr ? nullptr : FindProvider(sandbox->record.provider());
    if (provider == nullptr) co_return;
    absl::StatusOr<pb::SandboxView> view = co_await Look(*provider, sandbox->record.handle());
    sandbox = table_.FindSandbox(id);
    TaskRow* row = table_.Find(generation);
    if (sandbox == nullptr || row == nullptr || row->state() != v1::TASK_STATE_CREATING) co_return;
    if (stopping_) co_return;
    const bool absent = view.ok() && view->state() == pb::SandboxView::ABSENT;
    const bool useless = (absent && AbsentAgain(id, *provider)) ||
                         (view.ok() && view->state() == pb::SandboxView::ENDED);
    if (useless) {
      const std::string why = "its sandbox was gone before it was started";
      co_return CreateFailed(row, *sandbox,
                             providers::MakeProviderError(pb::TRANSIENT, why, false));
    }
    if (view.ok() && !absent) {
      missing_.erase(id);
      if (Expired(*row)) co_return Expire(*row);
      co_return IntendStart(*row, *sandbox);
    }
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + backoff.Next());
    if (!slept.ok()) co_return;
  }
}

// What the provider attests comes first. Where that proves nothing, RunStart settles it: by a start
// that is idempotent, or by waiting for a proof.
asio::awaitable<void> Engine::ResumeStarting(base::SandboxId id, Generation generation) {
  absl::StatusOr<pb::SandboxView> view = co_await InspectNow(id);
  const TaskRow* row = table_.Find(generation);
  if (row != nullptr && row->state() == v1::TASK_STATE_STARTING) SpawnStart(generation, false);
}

asio::awaitable<void> Engine::HandOver(base::BootTime deadline) {
  stopping_ = true;
  base::Failpoint("hand_over.begun");
  for (auto& [name, provider] : providers_) provider.poll_now->NotifyAll();
  events_changed_->NotifyAll();
  for (auto& [generation, list] : waiters_) {
    for (const std::weak_ptr<base::WaitList>& waiter : list) {
      if (auto changed = waiter.lock()) changed->NotifyAll();
    }
  }
  while (calls_->count > 0) {
    absl::Status waited = co_await calls_->changed.Wait(deadline);
    if (!waited.ok()) break;
  }
  base::Failpoint("hand_over.calls_returned");
  group_.Cancel();
  absl::Status joined = co_await group_.Join(deps_.clock.Boot() + kJoinMargin);
  base::LogIfError(joined, "the next start takes up what was left");
  base::Failpoint("hand_over.joined");
  // What is attested from here on is the next start's to hear.
  for (auto& [name, provider] : providers_) provider.provider->OnHint(nullptr);
  timers_.Stop();
  // On a full disk the last batch may wait for ever: nothing in it was answered, it may be lost.
  auto synced = std::make_shared<base::WaitList>(deps_.clock);
  auto durable = std::make_shared<bool>(false);
  journal_.WhenSynced([synced, durable] {
    *durable = true;
    synced->NotifyAll();
  });
  const base::BootTime last = std::max(deadline, deps_.clock.Boot() + kJoinMargin);
  while (!*durable) {
    absl::Status waited = co_await synced->Wait(last);
    if (waited.ok()) continue;
    base::LogIfError(waited, "the store takes nothing; what was not answered is lost");
    break;
  }
}

}  // namespace boxkeeper::daemon
