// Admission of submissions: idempotency, keys and successors, bounds.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

constexpr std::chrono::milliseconds kQueueFullRetry{1'000};
constexpr std::chrono::milliseconds kStoreFullRetry{5'000};

v1::SubmitResult Refused(v1::SubmitResult::Outcome outcome, const std::string& message,
                         std::chrono::milliseconds retry_after) {
  v1::SubmitResult result;
  result.set_outcome(outcome);
  result.set_message(message);
  *result.mutable_retry_after() = ToDuration(retry_after);
  return result;
}

v1::SubmitResult Rejected(const std::vector<providers::FieldViolation>& violations) {
  v1::SubmitResult result;
  result.set_outcome(v1::SubmitResult::REJECTED);
  for (const auto& violation : violations) {
    auto* out = result.add_violations();
    out->set_field(violation.field);
    out->set_description(violation.description);
  }
  result.set_message(absl::StrCat(violations.size(), " field(s) are wrong; nothing was stored"));
  return result;
}

v1::SubmitResult Existing(const TaskRow& row, v1::SubmitResult::Outcome outcome) {
  v1::SubmitResult result;
  result.set_outcome(outcome);
  result.set_id(row.id.ToString());
  result.set_state(row.state());
  result.set_owner(row.owner->name);
  result.set_generation(row.generation);
  return result;
}

v1::SubmitResult OtherContent() {
  return Rejected(
      {{"submission_id",
        "was already used for a task with other content; use a new UUID for a new task"}});
}

v1::SubmitResult FromTombstone(const rec::Tombstone& tombstone) {
  v1::SubmitResult result;
  result.set_outcome(v1::SubmitResult::DUPLICATE);
  if (auto id = IdFromBytes(tombstone.id()); id.ok()) result.set_id(id->ToString());
  result.set_state(tombstone.state());
  result.set_owner(tombstone.owner());
  result.set_generation(tombstone.generation());
  result.set_message("compacted: only its end is still known");
  return result;
}

}  // namespace

void Engine::Submit(std::vector<PackedTask> items,
                    std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done) {
  if (stopping_ || !started_) {
    ApiErrorDetails details;
    details.retry_after = kQueueFullRetry;
    done(ApiError(absl::StatusCode::kUnavailable, "NOT_SERVING",
                  stopping_ ? "the daemon is stopping; submit again to the next one"
                            : "the daemon is starting",
                  details));
    return;
  }
  auto response = std::make_shared<v1::SubmitTasksResponse>();
  for (PackedTask& item : items) {
    v1::SubmitResult result = SubmitOne(item);
    ++deps_.metrics.submits[result.outcome()];
    *response->add_results() = std::move(result);
  }
  if (base::Mutated("duplicate_answered_early") &&
      response->results(0).outcome() == v1::SubmitResult::DUPLICATE) {
    return done(std::move(*response));
  }
  // A duplicate's answer waits too: it tells of a task that may not be durable yet.
  journal_.WhenSynced([response, done = std::move(done)] {
    base::Failpoint("submit.before_answer");
    done(std::move(*response));
    base::Failpoint("submit.after_answer");
  });
}

v1::SubmitResult Engine::SubmitOne(PackedTask& item) {
  // Before its violations: a repeat of what an older configuration accepted is still that task.
  const TaskRow* same = table_.FindBySubmission(item.submission_id);
  if (base::Mutated("no_dedupe")) same = nullptr;
  if (same != nullptr && same->digest == item.digest) {
    return Existing(*same, v1::SubmitResult::DUPLICATE);
  }
  const rec::Tombstone* tombstone = table_.FindTombstone(item.submission_id);
  if (base::Mutated("tombstone_ignored")) tombstone = nullptr;
  if (tombstone != nullptr && tombstone->digest() == item.digest) return FromTombstone(*tombstone);
  if (!item.violations.empty()) return Rejected(item.violations);
  if (same != nullptr || tombstone != nullptr) return OtherContent();
  const KeyEntry* key = table_.FindKey(item.facts.key);
  TaskRow* live = key == nullptr ? nullptr : table_.Find(key->live);
  const bool live_runs = live != nullptr && !IsTerminal(live->state());
  if (live_runs && item.on_live_key == v1::ON_LIVE_KEY_REJECT) {
    return Existing(*live, v1::SubmitResult::ALREADY_LIVE);
  }
  // A waiting successor is live too: only who says so may replace it.
  TaskRow* successor = key == nullptr ? nullptr : table_.Find(key->successor);
  if (successor != nullptr && item.on_live_key == v1::ON_LIVE_KEY_REJECT) {
    return Existing(*successor, v1::SubmitResult::ALREADY_LIVE);
  }
  const std::string& log_path = item.facts.own_log_path;
  if (const TaskRow* other = log_path.empty() ? nullptr : table_.FindByLogPath(log_path)) {
    return Rejected(
        {{"sandbox_override.log.path",
          absl::StrCat("already holds the log of task ", other->id.ToString(),
                       "; in the plain layout each task needs a path of its own (or none: the "
                       "default is unique)")}});
  }
  if (table_.count(v1::TASK_STATE_QUEUED) >= options_.max_queued) {
    return Refused(v1::SubmitResult::QUEUE_FULL,
                   absl::StrCat("max_queued (", options_.max_queued, ") tasks are waiting"),
                   kQueueFullRetry);
  }
  if (journal_.out_of_space() || !deps_.store.HasRoomForNewTasks()) {
    return Refused(
        v1::SubmitResult::QUEUE_FULL,
        "the state directory's disk is full: the room left is kept for tasks accepted before",
        kStoreFullRetry);
  }
  std::vector<providers::FieldViolation> missing;
  const std::vector<std::string> pinned = PinBlobs(item.facts.blobs, &missing);
  if (!missing.empty()) {
    for (const std::string& blob : pinned) blob_pins_->Unpin(blob);
    return Rejected(missing);
  }
  return Accept(item, live, successor);
}

// Those of `blobs` that are here, held; a violation for each other one.
std::vector<std::string> Engine::PinBlobs(const std::vector<std::string>& blobs,
                                          std::vector<providers::FieldViolation>* missing) {
  std::vector<std::string> pinned;
  for (const std::string& blob : blobs) {
    if (blob_pins_ != nullptr && blob_pins_->Pin(blob)) {
      pinned.push_back(blob);
    } else {
      missing->push_back({"files.blob", absl::StrCat("blob ", blob,
                                                     " is not here (any more); store it by PutBlob "
                                                     "and submit again")});
    }
  }
  return pinned;
}

// Once the task has ended: it will not be started again.
void Engine::UnpinBlobs(TaskRow& row) {
  if (row.blobs == nullptr) return;
  for (const std::string& blob : *row.blobs) blob_pins_->Unpin(blob);
  row.blobs.reset();
}

v1::SubmitResult Engine::Accept(PackedTask& item, const TaskRow* live, TaskRow* waiting) {
  const base::TaskId id{deps_.rng.NewId()};
  const Decision decision{.generation = table_.next_generation(),
                          .id = id,
                          .accepted_at_ms = NowMs(),
                          .accepted_boot_ms = BootMs(),
                          .after_generation = live == nullptr ? 0 : live->generation};
  // A second successor replaces the waiting one.
  if (waiting != nullptr) {
    CancelRow(*waiting, MakeStop(*waiting, v1::REASON_CANCELLED,
                                 absl::StrCat("replaced by ", id.ToString())));
  }
  BeginStream(item.facts.owner);
  AppendDecision(decision, item.accepted);
  const Position position = journal_.AppendEncoded(AcceptedRecord(item.accepted));
  CHECK(table_
            .Admit(position, {decision, item.submission_id, std::move(item.digest),
                              std::move(item.facts), std::move(item.accepted)})
            .ok());
  base::Failpoint("submit.accepted");
  TaskRow& row = *table_.Find(decision.generation);
  if (!item.sealed_box.empty()) {
    rec::Record sealed;
    sealed.mutable_sealed()->set_generation(row.generation);
    sealed.mutable_sealed()->set_box(std::move(item.sealed_box));
    Write(sealed);
  }
  ++deps_.metrics.events;
  NotifyChanged(row.generation);
  if (row.lease_cancels && row.lease_ttl_ms > 0) {
    timers_.Set(row.generation, TimerKind::kLease,
                deps_.clock.Boot() + std::chrono::milliseconds(row.lease_ttl_ms));
  }
  Enlist(row);
  v1::SubmitResult result;
  result.set_outcome(v1::SubmitResult::ACCEPTED);
  result.set_id(id.ToString());
  result.set_state(row.state());
  result.set_owner(row.owner->name);
  result.set_generation(row.generation);
  return result;
}

void Engine::Enlist(TaskRow& row) {
  if (row.start_deadline_ms != 0) {
    // The client's deadline is wall time; from acceptance on the interval is what counts (I13).
    const auto left = std::chrono::milliseconds(row.start_deadline_ms - row.accepted_at_ms);
    const base::BootTime accepted =
        Instant(row.accepted_position, row.accepted_boot_ms, row.accepted_at_ms);
    if (accepted + left <= deps_.clock.Boot()) return Expire(row);
    timers_.Set(row.generation, TimerKind::kStartDeadline, accepted + left);
  }
  const KeyEntry* key = table_.FindKey(*row.key);
  if (key != nullptr && key->live != row.generation) return ArmHandover(row);
  timers_.Clear(row.generation, TimerKind::kHandover);
  if (row.status.not_before_ms() != 0) {
    const base::BootTime at =
        Instant(row.status_position, row.status.not_before_boot_ms(), row.status.not_before_ms());
    if (at > deps_.clock.Boot()) return timers_.Set(row.generation, TimerKind::kBackoff, at);
  }
  ProviderState* provider = FindProvider(row.provider);
  if (provider == nullptr) {
    Move(row, TaskEvent::kCreateFatal, [&row](rec::TaskStatus& status) {
      status.set_reason(v1::REASON_INVALID_SPEC);
      status.set_message(
          absl::StrCat("provider \"", row.provider, "\" is not configured any more"));
      MarkNeverStarted(status);
    });
    return;
  }
  const std::pair<int32_t, Generation> place{-row.priority, row.generation};
  if (IsHeld(*provider, row.generation)) {
    provider->held.insert(place);
    return;
  }
  provider->ready.insert(place);
  RequestDispatch();
}

void Engine::Unlist(const TaskRow& row) {
  ProviderState* provider = FindProvider(row.provider);
  if (provider == nullptr) return;
  provider->ready.erase({-row.priority, row.generation});
  provider->held.erase({-row.priority, row.generation});
}

// The live task of the key is given `handover_grace` to end by itself; with REPLACE none.
void Engine::ArmHandover(TaskRow& successor) {
  const KeyEntry* key = table_.FindKey(*successor.key);
  TaskRow* live = table_.Find(key->live);
  if (live == nullptr || IsTerminal(live->state())) return;
  base::BootTime at = deps_.clock.Boot();
  if (!successor.replaces) {
    at =
        Instant(successor.accepted_position, successor.accepted_boot_ms, successor.accepted_at_ms) +
        options_.handover_grace;
  }
  if (successor.replaces || at <= deps_.clock.Boot()) {
    CancelRow(*live, MakeStop(*live, v1::REASON_CANCELLED,
                              absl::StrCat("replaced by ", successor.id.ToString())));
    return;
  }
  timers_.Set(successor.generation, TimerKind::kHandover, at);
}

}  // namespace boxkeeper::daemon
