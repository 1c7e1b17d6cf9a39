#include "daemon/core/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fault_points.h"
#include "base/log.h"

namespace boxkeeper::daemon {
namespace {

// A lease is not looked at more often than this, whatever its ttl.
constexpr std::chrono::milliseconds kLeaseCheckMin{100};
// A timer that fires this much too late tells that the daemon did not run meanwhile (SIGSTOP, a
// suspended host): renewals that it could not hear count as given.
constexpr std::chrono::milliseconds kSuspended{1'000};

}  // namespace

google::protobuf::Timestamp ToTimestamp(int64_t unix_ms) {
  google::protobuf::Timestamp out;
  out.set_seconds(unix_ms / 1000);
  out.set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1'000'000);
  return out;
}

int64_t ToMillis(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1000 + duration.nanos() / 1'000'000;
}

google::protobuf::Duration ToDuration(std::chrono::milliseconds millis) {
  google::protobuf::Duration out;
  out.set_seconds(millis.count() / 1000);
  out.set_nanos(static_cast<int32_t>(millis.count() % 1000) * 1'000'000);
  return out;
}

void MarkNeverStarted(rec::TaskStatus& status) {
  status.set_user_code_started(v1::USER_CODE_STARTED_NO);
  status.set_fenced(true);
}

// Opaque to clients; the letter tells a cursor from any other number.
std::string CursorText(Position position) { return absl::StrCat("c", position); }

absl::StatusOr<Position> ParseCursor(const std::string& cursor) {
  Position position = 0;
  if (cursor.size() < 2 || cursor[0] != 'c' || !absl::SimpleAtoi(cursor.substr(1), &position) ||
      position < 0) {
    return absl::InvalidArgumentError("not a cursor of this daemon");
  }
  return position;
}

Engine::Engine(CoreDeps deps, CoreOptions options)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      journal_(deps_.executor, deps_.clock, deps_.store, deps_.fatal),
      timers_(deps_.executor, deps_.clock,
              [this](int64_t subject, TimerKind kind, base::BootTime due) {
                OnTimer(subject, kind, due);
              }),
      started_at_(deps_.clock.Now()),
      events_changed_(std::make_shared<base::WaitList>(deps_.clock)),
      calls_(std::make_shared<Calls>(deps_.clock)),
      group_(deps_.clock, deps_.executor) {
  for (const auto& [name, provider] : deps_.providers) {
    ProviderState& state = providers_[name];
    state.name = name;
    state.provider = provider;
    state.batch_alarm = deps_.clock.NewAlarm(deps_.executor);
    state.poll_now = std::make_unique<base::WaitList>(deps_.clock);
    state.look_ended = std::make_unique<base::WaitList>(deps_.clock);
    state.watcher = std::make_unique<watcher::Watcher>(*provider, deps_.clock, *this,
                                                       watcher::WatcherOptions{});
  }
  SetOptions(options_);
}

Engine::~Engine() {
  for (auto& [name, state] : providers_) state.provider->OnHint(nullptr);
}

void Engine::SetOptions(CoreOptions options) {
  options_ = std::move(options);
  for (auto& [name, state] : providers_) {
    auto limits = options_.providers.find(name);
    if (limits != options_.providers.end()) state.limits = limits->second;
    state.watcher->SetOptions({state.limits.call_timeout, options_.orphan_grace});
  }
  if (started_) RequestDispatch();
}

Position Engine::Write(const rec::Record& record) {
  const Position position = journal_.Append(record);
  const absl::Status applied = table_.Apply(position, record);
  CHECK(applied.ok());  // what the core writes follows from what it knows
  return position;
}

rec::TaskStatus Engine::CopyStatus(const TaskRow& row) const {
  rec::TaskStatus status = row.status;
  if (row.status_position < boot_first_position_) {
    // At a new position they would be taken for times of this boot; the wall times tell.
    status.clear_started_boot_ms();
    status.clear_ended_boot_ms();
    status.clear_not_before_boot_ms();
  }
  return status;
}

void Engine::WakeSuccessor(const TaskRow& row) {
  const KeyEntry* key = table_.FindKey(*row.key);
  TaskRow* next = key == nullptr ? nullptr : table_.Find(key->live);
  if (next != nullptr && next->state() == v1::TASK_STATE_QUEUED) Enlist(*next);
}

bool Engine::Move(TaskRow& row, TaskEvent event,
                  const std::function<void(rec::TaskStatus&)>& edit) {
  const v1::TaskState from = row.state();
  const absl::StatusOr<v1::TaskState> to = Next(from, event);
  if (!to.ok()) {
    ++deps_.metrics.rejected_transitions;
    base::LogWarning("transition refused", {{"task_id", row.id.ToString()}, {"why", to.status()}});
    return false;
  }
  rec::Record record;
  rec::Transition& transition = *record.mutable_transition();
  transition.set_generation(row.generation);
  transition.set_at_ms(NowMs());
  rec::TaskStatus& status = *transition.mutable_status();
  status = CopyStatus(row);
  status.set_state(*to);
  if (edit) edit(status);
  if (event == TaskEvent::kStartAttested && base::Mutated("move_not_journalled")) {
    CHECK(table_.Apply(journal_.next_position(), record).ok());
    return true;
  }
  if (IsTerminal(*to)) {
    if (status.ended_at_ms() == 0) status.set_ended_at_ms(transition.at_ms());
    status.set_ended_boot_ms(BootMs());
  }
  const bool suppressed = status.has_stop() && status.stop().suppress_events();
  transition.set_event(suppressed ? v1::EVENT_TYPE_UNSPECIFIED : v1::EVENT_TYPE_STATE);
  Write(record);
  // The names are literals. NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage)
  base::Failpoint(EventName(event).data());

  if (!suppressed) ++deps_.metrics.events;
  const int slots = static_cast<int>(IsActive(*to)) - static_cast<int>(IsActive(from));
  active_ += slots;
  if (ProviderState* provider = FindProvider(row.provider)) provider->active += slots;
  if (IsTerminal(*to)) {
    ++deps_.metrics.task_ends[row.status.reason()];
    for (TimerKind kind : {TimerKind::kStartDeadline, TimerKind::kBackoff, TimerKind::kLease,
                           TimerKind::kRunTimeout, TimerKind::kHandover}) {
      timers_.Clear(row.generation, kind);
    }
    ended_.insert({row.status.ended_boot_ms(), row.generation});
    UnpinBlobs(row);
    // The values of what may have printed them stay sealed in the store until the log is stored:
    // they are needed to redact it.
    const bool silent = !MayRun(from);
    if (log_port_ == nullptr || silent) EraseSecrets(row);
    if (silent) RecordEndLater(row.generation);
    base::LogInfo("task ended", {{"task_id", row.id.ToString()},
                                 {"state", StateName(*to)},
                                 {"reason", ReasonName(row.status.reason())}});
  }
  if (IsFenced(row)) WakeSuccessor(row);
  NotifyChanged(row.generation);
  if (slots < 0) RequestDispatch();
  return true;
}

void Engine::Amend(TaskRow& row, v1::EventType type,
                   const std::function<void(rec::TaskStatus&)>& edit) {
  const bool was_fenced = IsFenced(row);
  rec::Record record;
  rec::Transition& transition = *record.mutable_transition();
  transition.set_generation(row.generation);
  transition.set_at_ms(NowMs());
  transition.set_event(type);
  *transition.mutable_status() = CopyStatus(row);
  edit(*transition.mutable_status());
  Write(record);
  if (!was_fenced && IsFenced(row)) WakeSuccessor(row);
  NotifyChanged(row.generation);
}

void Engine::WriteSandbox(rec::SandboxRecord record) {
  record.set_at_ms(NowMs());
  auto id = IdFromBytes(record.id());
  CHECK(id.ok());
  SandboxRow* old = table_.FindSandbox({*id});
  ProviderState* provider = FindProvider(record.provider());
  if (old != nullptr) {
    journal_.Delete(old->position);
  } else if (provider != nullptr) {
    ++provider->sandboxes;
  }
  // A list that is on its way may lack it.
  const bool known_now = !record.handle().empty() && provider != nullptr &&
                         (old == nullptr || old->record.handle().empty());
  rec::Record wrapped;
  *wrapped.mutable_sandbox() = std::move(record);
  Write(wrapped);
  if (known_now) table_.FindSandbox({*id})->known_in = provider->cycle;
}

// Absence from the store is how a gone sandbox is recorded: nothing of it stays behind.
void Engine::ForgetSandbox(SandboxRow& sandbox) {
  journal_.Delete(sandbox.position);
  if (ProviderState* provider = FindProvider(sandbox.record.provider())) --provider->sandboxes;
  missing_.erase(sandbox.id);
  creating_.erase(sandbox.id);
  uncertain_.erase(sandbox.id);
  const Generation generation = sandbox.record.generation();
  rec::Record gone;
  *gone.mutable_sandbox() = sandbox.record;
  gone.mutable_sandbox()->set_state(rec::SandboxRecord::GONE);
  CHECK(table_.Apply(0, gone).ok());
  base::Failpoint("sandbox.forgotten");
  TaskRow* row = table_.Find(generation);
  if (row != nullptr && IsTerminal(row->state()) && !row->status.fenced()) {
    Amend(*row, v1::EVENT_TYPE_UNSPECIFIED,
          [](rec::TaskStatus& status) { status.set_fenced(true); });
  }
  RequestDispatch();
}

void Engine::AddNote(TaskRow& row, const std::string& text) {
  rec::Record record;
  record.mutable_note()->set_generation(row.generation);
  record.mutable_note()->set_text(text);
  record.mutable_note()->set_at_ms(NowMs());
  Write(record);
}

void Engine::EraseSecrets(TaskRow& row) {
  if (row.sealed_position == 0) return;
  journal_.Delete(std::exchange(row.sealed_position, 0));
}

void Engine::OnTimer(int64_t subject, TimerKind kind, base::BootTime due) {
  TaskRow* row = table_.Find(subject);
  if (row == nullptr) return;
  switch (kind) {
    case TimerKind::kStartDeadline:
      if (base::Mutated("deadline_forgotten")) return;
      if (row->state() == v1::TASK_STATE_QUEUED || row->state() == v1::TASK_STATE_CREATING) {
        Expire(*row);
      }
      return;
    case TimerKind::kBackoff:
      if (row->state() == v1::TASK_STATE_QUEUED) Enlist(*row);
      return;
    case TimerKind::kLease:
      LeaseLapsed(*row, due);
      return;
    case TimerKind::kRunTimeout:
      if (row->state() == v1::TASK_STATE_RUNNING) {
        RequestStop(*row, MakeStop(*row, v1::REASON_RUN_TIMEOUT,
                                   "ran longer than its timeout (seen by the daemon)"));
      }
      return;
    case TimerKind::kHandover: {
      const KeyEntry* key = table_.FindKey(*row->key);
      TaskRow* live = key == nullptr ? nullptr : table_.Find(key->live);
      if (live == nullptr || live == row) return;
      CancelRow(*live, MakeStop(*live, v1::REASON_CANCELLED,
                                absl::StrCat("its successor ", row->id.ToString(),
                                             " waited for handover_grace")));
      return;
    }
  }
}

ProviderState* Engine::FindProvider(const std::string& name) {
  auto it = providers_.find(name);
  return it == providers_.end() ? nullptr : &it->second;
}

// Only what shows that the provider was not reached counts as unreachable: a refusal is an answer.
void Engine::NoteCall(ProviderState& provider, const char* verb, const absl::Status& status) {
  const pb::ProviderError error = status.ok() ? pb::ProviderError() : providers::ErrorOf(status);
  const std::string outcome = status.ok() ? "ok" : pb::ErrorClass_Name(error.error_class());
  ++deps_.metrics.ProviderCalls(provider.name, verb, outcome);
  const bool reached = status.ok() || error.error_class() != pb::TRANSIENT;
  if (reached) {
    provider.failures = 0;
    if (provider.unreachable_since.has_value()) {
      base::LogInfo("provider reachable again", {{"provider", provider.name}});
      provider.unreachable_since.reset();
      RequestDispatch();
    }
    return;
  }
  provider.last_error = error.message();
  // One lost call is weather; three in a row are a condition.
  constexpr int kFailuresUntilUnreachable = 3;
  if (++provider.failures < kFailuresUntilUnreachable || provider.unreachable_since.has_value())
    return;
  provider.unreachable_since = deps_.clock.Now();
  base::LogWarning("provider unreachable",
                   {{"provider", provider.name}, {"error", error.message()}});
}

// Everything that talks to a provider runs here: a hand-over waits for what is in flight.
void Engine::Spawn(std::string id, std::function<asio::awaitable<void>()> run) {
  group_.Spawn(std::move(id), std::move(run));
}

int64_t Engine::NowMs() const { return absl::ToUnixMillis(deps_.clock.Now()); }

int64_t Engine::BootMs() const {
  using std::chrono::duration_cast;
  return duration_cast<std::chrono::milliseconds>(deps_.clock.Boot().time_since_epoch()).count();
}

base::BootTime Engine::BootFromMs(int64_t boot_ms) const {
  return base::BootTime(std::chrono::milliseconds(boot_ms));
}

base::BootTime Engine::Instant(Position position, int64_t boot_ms, int64_t wall_ms) const {
  if (position >= boot_first_position_ && boot_ms > 0) return BootFromMs(boot_ms);
  // Of another boot. It has passed, whatever the wall clock was set to since (I13).
  return deps_.clock.Boot() + std::chrono::milliseconds(std::min<int64_t>(0, wall_ms - NowMs()));
}

base::BootTime Engine::CallDeadline(const ProviderState& provider) const {
  return deps_.clock.Boot() + provider.limits.call_timeout;
}

void Engine::LeaseLapsed(TaskRow& row, base::BootTime due) {
  if (base::Mutated("lease_never_lapses")) return;
  if (IsTerminal(row.state())) return;
  auto reader = readers_.find(row.owner->name);
  const bool renewed = !row.owner->name.empty() && reader != readers_.end() && reader->second > 0;
  if (renewed || deps_.clock.Boot() - due >= kSuspended) {
    const std::chrono::milliseconds ttl(row.lease_ttl_ms);
    timers_.Set(row.generation, TimerKind::kLease,
                deps_.clock.Boot() + std::max(ttl, kLeaseCheckMin));
    return;
  }
  CancelRow(row, MakeStop(row, v1::REASON_CLIENT_LOST, "its client did not renew the lease"));
}

}  // namespace boxkeeper::daemon
