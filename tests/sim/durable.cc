#include "tests/sim/durable.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/states.h"
#include "daemon/core/task_table.h"

namespace boxkeeper::sim {
namespace {

namespace rec = store::v1;
using daemon::IsTerminal;

std::string StateText(v1::TaskState state) { return std::string(daemon::StateName(state)); }

bool IsEdge(v1::TaskState from, v1::TaskState to) {
  for (const daemon::Edge& edge : daemon::Edges()) {
    if (edge.from == from && edge.to == to) return true;
  }
  return false;
}

std::string IdText(const std::string& bytes) {
  auto id = daemon::IdFromBytes(bytes);
  return id.ok() ? id->ToString() : "?";
}

}  // namespace

void Durable::Begun(const store::Batch& batch) { on_its_way_ = batch; }

void Durable::Committed(const store::Batch& batch) {
  on_its_way_.reset();
  for (const store::PutRecord& put : batch.puts) Put(put.position, put.record);
  for (const store::Position position : batch.deletes) Delete(position);
  for (const int64_t generation : std::exchange(adopted_, {})) {
    Fail("I7", absl::StrCat("task ", generation, " changed its owner, the old one is not told"));
  }
}

absl::Status Durable::Reload(store::TaskStore& store, bool older) {
  const State before = std::exchange(state_, State());
  const std::optional<store::Batch> on_its_way = std::exchange(on_its_way_, std::nullopt);
  if (older) {
    compacted_.clear();
    known_ = known_at_backup_;
  }
  reloading_ = true;
  absl::Status loaded = store.Load([this](store::Position position, std::string_view bytes) {
    Put(position, std::string(bytes));
    return absl::OkStatus();
  });
  reloading_ = false;
  adopted_.clear();
  if (loaded.ok() && !older) CheckNothingLost(before, on_its_way);
  return loaded;
}

void Durable::CheckNothingLost(const State& before, const std::optional<store::Batch>& on_its_way) {
  std::set<store::Position> deleted;
  if (on_its_way.has_value()) {
    deleted.insert(on_its_way->deletes.begin(), on_its_way->deletes.end());
    size_t there = 0;
    size_t all = 0;
    for (const store::PutRecord& put : on_its_way->puts) {
      if (deleted.contains(put.position)) continue;  // put and deleted in one batch
      ++all;
      there += state_.kept.count(put.position);
    }
    if (there != 0 && there != all) {
      Fail("I9", absl::StrCat("half a batch: ", there, " of ", all));
    }
    if (there == 0 && all > 0) deleted.clear();
  }
  for (const auto& [position, generation] : before.kept) {
    if (state_.kept.contains(position) || deleted.contains(position)) continue;
    Fail("I1", absl::StrCat("record ", position, " of task ", generation,
                            " was committed, and a crash lost it"));
    return;
  }
}

void Durable::Put(store::Position position, const std::string& bytes) {
  rec::Record record;
  if (!record.ParseFromString(bytes)) return Fail("I9", "a record that cannot be parsed");
  int64_t& generation = state_.kept[position];
  switch (record.kind_case()) {
    case rec::Record::kAccepted:
      generation = record.accepted().generation();
      return Accepted(position, record.accepted());
    case rec::Record::kTransition:
      generation = record.transition().generation();
      return Transition(position, record.transition());
    case rec::Record::kSandbox:
      return Sandbox(position, record.sandbox());
    case rec::Record::kOwnerChange:
      generation = record.owner_change().generation();
      return OwnerChange(position, record.owner_change());
    case rec::Record::kAck: {
      store::Position& acknowledged = state_.acks[record.ack().owner()];
      acknowledged = std::max(acknowledged, record.ack().position());
      return;
    }
    case rec::Record::kTombstone:
      return Tombstone(position, record.tombstone());
    case rec::Record::kMeta:
      if (record.meta().epoch() < state_.epoch) Fail("I9", "the epoch went back");
      state_.epoch = record.meta().epoch();
      state_.folded_floor = record.meta().folded_cursor_floor();
      return;
    case rec::Record::kDrain:
      state_.drain = record.drain().on();
      return;
    default:
      return;
  }
}

void Durable::Delete(store::Position position) {
  const auto found = state_.kept.find(position);
  if (found == state_.kept.end()) return;
  const int64_t generation = found->second;
  state_.kept.erase(found);
  if (generation != 0) {
    if (!compacted_.contains(generation)) {
      Fail("I7", absl::StrCat("a record of task ", generation, " is gone before its compaction"));
    }
    return;
  }
  if (const auto tombstone = state_.tombstones.find(position);
      tombstone != state_.tombstones.end()) {
    state_.compacted.erase(tombstone->second);
    state_.tombstones.erase(tombstone);
    return;
  }
  for (auto it = state_.sandboxes.begin(); it != state_.sandboxes.end(); ++it) {
    if (it->second.position != position) continue;
    const DurableTask* task = FindTask(it->second.record.generation());
    if (task != nullptr && daemon::MayRun(task->status.state()) &&
        task->status.sandbox_id() == it->second.record.id()) {
      Fail("I5", absl::StrCat("the sandbox of task ", task->generation,
                              " is forgotten while the task may run"));
    }
    state_.sandboxes.erase(it);
    return;
  }
}

void Durable::Accepted(store::Position position, const rec::Accepted& record) {
  const int64_t generation = record.generation();
  if (state_.by_submission.contains(record.submission_id()) ||
      state_.compacted.contains(record.submission_id())) {
    Fail("I2", absl::StrCat("task ", generation, " is a second one of its submission"));
  }
  if (generation <= state_.newest) Fail("I9", absl::StrCat("generation ", generation, " again"));
  state_.newest = generation;
  DurableTask& task = state_.tasks[generation];
  task.generation = generation;
  task.id = IdText(record.id());
  task.submission = record.submission_id();
  task.owner = record.owner();
  task.accepted = record;
  task.accepted.clear_command();
  task.status.set_state(v1::TASK_STATE_QUEUED);
  state_.by_id[task.id] = generation;
  state_.by_submission[task.submission] = generation;
  AddEvent(task.owner, position, {generation, v1::EVENT_TYPE_STATE, v1::TASK_STATE_QUEUED});
}

void Durable::Transition(store::Position position, const rec::Transition& record) {
  const auto found = state_.tasks.find(record.generation());
  if (found == state_.tasks.end()) {
    return Fail(
        "I9", absl::StrCat("a transition of task ", record.generation(), ", which does not exist"));
  }
  DurableTask& task = found->second;
  if (IsTerminal(task.status.state()) && record.event() == v1::EVENT_TYPE_STATE) {
    Fail("I7", absl::StrCat("a state event of task ", task.generation, " after its end"));
  }
  CheckMove(task, record.status());
  CheckLogComplete(task, record);
  const bool moved = task.status.state() != record.status().state();
  task.status = record.status();
  const v1::TaskState state = task.status.state();
  task.begun = daemon::MayRun(state);
  if (record.event() != v1::EVENT_TYPE_UNSPECIFIED) {
    AddEvent(task.owner, position, {task.generation, record.event(), state});
  }
  if (moved && moved_ && !reloading_) moved_(task);
}

void Durable::CheckMove(const DurableTask& task, const rec::TaskStatus& to) {
  const v1::TaskState from_state = task.status.state();
  const v1::TaskState to_state = to.state();
  if (IsTerminal(from_state)) {
    const bool same = to_state == from_state && to.reason() == task.status.reason() &&
                      to.exit_code() == task.status.exit_code() &&
                      to.signal() == task.status.signal();
    if (!same) {
      Fail("I1", absl::StrCat("the end of task ", task.generation, " changed from ",
                              StateText(from_state), " to ", StateText(to_state)));
    }
    return;
  }
  if (to_state == from_state) return;
  if (!IsEdge(from_state, to_state)) {
    Fail("I1", absl::StrCat("task ", task.generation, " went from ", StateText(from_state), " to ",
                            StateText(to_state)));
  }
  // A one-step create that proved to have had no effect withdraws its intent.
  const DurableSandbox* sandbox = FindSandbox(NameOf(task.status.sandbox_id()));
  const bool withdrawn = sandbox != nullptr && sandbox->record.handle().empty();
  if (!reloading_ && task.begun && to_state < v1::TASK_STATE_STARTING && !withdrawn) {
    Fail("I3", absl::StrCat("another attempt of task ", task.generation, ", which may have run"));
  }
  if (from_state == v1::TASK_STATE_QUEUED && to_state == v1::TASK_STATE_CREATING && state_.drain) {
    Fail("drain", absl::StrCat("task ", task.generation, " was dispatched while draining"));
  }
  if (to_state == v1::TASK_STATE_SUCCEEDED) CheckSuccess(task, to);
}

// Once per task, behind its end, and with an event unless its client wanted none.
void Durable::CheckLogComplete(const DurableTask& task, const rec::Transition& record) {
  const bool was = task.status.log_complete();
  const bool is = record.status().log_complete();
  if (was && !is) Fail("I8", absl::StrCat("task ", task.generation, " lost its stored log"));
  const bool told = record.event() == v1::EVENT_TYPE_LOG_COMPLETE;
  const bool quiet = record.status().stop().suppress_events();
  if (told == (is && !was && !quiet)) return;
  Fail("I7", absl::StrCat("task ", task.generation,
                          told ? " told of its stored log out of place"
                               : " has a stored log, and no event tells it"));
}

void Durable::CheckSuccess(const DurableTask& task, const rec::TaskStatus& status) {
  const bool attested = status.has_exit_code() && status.exit_code() == 0 &&
                        status.attester() != v1::ATTESTER_NONE &&
                        status.reason() == v1::REASON_EXIT_CODE;
  if (!attested) Fail("I11", absl::StrCat("success without an attested 0: ", task.generation));
}

void Durable::Sandbox(store::Position position, const rec::SandboxRecord& record) {
  const std::string name = NameOf(record.id());
  DurableSandbox& sandbox = state_.sandboxes[name];
  sandbox = {name, record, position};
  ever_intended_.insert(name);
  known_.insert(name);
}

void Durable::OwnerChange(store::Position position, const rec::OwnerChange& record) {
  const auto found = state_.tasks.find(record.generation());
  if (found == state_.tasks.end()) return Fail("I9", "an owner of a task that does not exist");
  DurableTask& task = found->second;
  const v1::TaskState state = task.status.state();
  // The second record of a pair tells the old owner.
  if (task.owner == record.new_owner()) {
    adopted_.erase(task.generation);
    return AddEvent(record.old_owner(), position,
                    {task.generation, v1::EVENT_TYPE_OWNER_LOST, state});
  }
  task.owner = record.new_owner();
  if (!record.old_owner().empty()) adopted_.insert(task.generation);
  AddEvent(task.owner, position, {task.generation, v1::EVENT_TYPE_OWNER_CHANGED, state});
}

void Durable::Tombstone(store::Position position, const rec::Tombstone& record) {
  const auto found = state_.tasks.find(record.generation());
  if (found != state_.tasks.end()) {
    const rec::TaskStatus& status = found->second.status;
    if (status.state() != record.state() || status.reason() != record.reason()) {
      Fail("I1", absl::StrCat("the tombstone of ", record.generation(), " tells another end"));
    }
    if (!status.fenced()) {
      Fail("I3", absl::StrCat("task ", record.generation(), " was compacted before it is fenced"));
    }
    CheckAcknowledged(found->second);
    state_.by_id.erase(found->second.id);
    state_.by_submission.erase(found->second.submission);
    for (auto& [owner, events] : state_.events) {
      std::erase_if(events, [&](const auto& entry) {
        return entry.second.generation == record.generation();
      });
    }
    state_.tasks.erase(found);
  }
  state_.newest = std::max(state_.newest, record.generation());
  state_.tombstones[position] = record.submission_id();
  state_.compacted.insert(record.submission_id());
  compacted_.insert(record.generation());
}

// Runs are shorter than unacked_retention.
void Durable::CheckAcknowledged(const DurableTask& task) {
  if (task.owner.empty() || reloading_) return;
  for (const auto& [position, event] : EventsOf(task.owner)) {
    if (event.generation != task.generation || position <= AcknowledgedBy(task.owner)) continue;
    Fail("I7", absl::StrCat("task ", task.generation, " was compacted before its owner ",
                            "acknowledged c", position));
    return;
  }
}

void Durable::AddEvent(const std::string& owner, store::Position position, DurableEvent event) {
  if (owner.empty()) return;
  state_.events[owner].emplace(position, event);
}

std::string Durable::NameOf(const std::string& id_bytes) const {
  auto id = daemon::IdFromBytes(id_bytes);
  return id.ok() ? naming_.Name(base::SandboxId{*id}) : "?";
}

const DurableTask* Durable::FindTask(int64_t generation) const {
  const auto found = state_.tasks.find(generation);
  return found == state_.tasks.end() ? nullptr : &found->second;
}

const DurableTask* Durable::FindTaskById(const std::string& id) const {
  const auto found = state_.by_id.find(id);
  return found == state_.by_id.end() ? nullptr : FindTask(found->second);
}

bool Durable::KnowsSubmission(const std::string& submission) const {
  return state_.by_submission.contains(submission) || state_.compacted.contains(submission);
}

const DurableSandbox* Durable::FindSandbox(const std::string& name) const {
  const auto found = state_.sandboxes.find(name);
  return found == state_.sandboxes.end() ? nullptr : &found->second;
}

const Durable::Events& Durable::EventsOf(const std::string& owner) const {
  static const Events kNone;
  const auto found = state_.events.find(owner);
  return found == state_.events.end() ? kNone : found->second;
}

store::Position Durable::AcknowledgedBy(const std::string& owner) const {
  const auto found = state_.acks.find(owner);
  return found == state_.acks.end() ? 0 : found->second;
}

bool Durable::HasLiveLease(const std::string& name) const {
  const DurableSandbox* sandbox = FindSandbox(name);
  if (sandbox == nullptr || sandbox->record.state() == rec::SandboxRecord::CLEANUP) return false;
  const DurableTask* task = FindTask(sandbox->record.generation());
  return task != nullptr && !IsTerminal(task->status.state()) &&
         task->status.sandbox_id() == sandbox->record.id();
}

bool Durable::IsHeld(const std::string& name) const {
  const DurableSandbox* sandbox = FindSandbox(name);
  if (sandbox == nullptr) return false;
  return sandbox->record.state() == rec::SandboxRecord::CREATE_INTENDED || HasLiveLease(name);
}

int64_t Durable::unstored_tasks() const {
  int64_t unstored = 0;
  for (const auto& [generation, task] : state_.tasks) {
    unstored += IsTerminal(task.status.state()) && !task.status.log_complete() ? 1 : 0;
  }
  return unstored;
}

int64_t Durable::live_tasks() const {
  int64_t live = 0;
  for (const auto& [generation, task] : state_.tasks) live += !IsTerminal(task.status.state());
  return live;
}

}  // namespace boxkeeper::sim
