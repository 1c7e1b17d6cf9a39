#include "daemon/core/task_table.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/task_key.h"
#include "daemon/core/states.h"

namespace boxkeeper::daemon {
namespace {

namespace rec = ::boxkeeper::store::v1;

// Specs up to this size are kept in memory; larger ones are read from the store when needed (design
// section 2).
constexpr size_t kInlineAcceptedBytesMax = 1024;
// Late observations of one task that are kept; more only repeat themselves.
constexpr size_t kNotesMax = 16;

absl::Status Contradiction(Position position, const std::string& what) {
  return absl::DataLossError(absl::StrCat("record ", position, ": ", what));
}

// The generation after one of a record, whatever number stands there.
Generation After(Generation generation) {
  return generation < std::numeric_limits<Generation>::max() ? generation + 1 : generation;
}

}  // namespace

absl::StatusOr<base::Id128> IdFromBytes(const std::string& bytes) {
  base::Id128 id;
  if (bytes.size() != id.bytes.size()) {
    return absl::DataLossError(absl::StrCat("an id of ", bytes.size(), " bytes, not 16"));
  }
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

std::string IdBytes(const base::Id128& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
}

bool Supersedes(const rec::LogRecord& later, const rec::LogRecord& earlier) {
  if (later.complete()) return !earlier.dropped();
  return later.stream() == earlier.stream() && later.dropped() == earlier.dropped();
}

bool IsFenced(const TaskRow& row) { return IsTerminal(row.state()) && row.status.fenced(); }

absl::Status TaskTable::Apply(Position position, const rec::Record& record) {
  switch (record.kind_case()) {
    case rec::Record::kAccepted:
      return ApplyAccepted(position, record.accepted());
    case rec::Record::kTransition:
      return ApplyTransition(position, record.transition());
    case rec::Record::kSandbox:
      return ApplySandbox(position, record.sandbox());
    case rec::Record::kSealed:
      return ApplySealed(position, record.sealed());
    case rec::Record::kLog:
      return ApplyLog(position, record.log());
    case rec::Record::kOwnerChange:
      return ApplyOwnerChange(position, record.owner_change());
    case rec::Record::kNote:
      return ApplyNote(position, record.note());
    case rec::Record::kAck:
      ApplyAck(position, record.ack());
      return absl::OkStatus();
    case rec::Record::kTombstone:
      ApplyTombstone(position, record.tombstone());
      return absl::OkStatus();
    case rec::Record::kMeta:
      ApplyMeta(position, record.meta());
      return absl::OkStatus();
    case rec::Record::kDrain:
      drain_ = record.drain().on();
      drain_position_ = position;
      return absl::OkStatus();
    case rec::Record::KIND_NOT_SET:
      break;
  }
  return Contradiction(position, "of a kind this version does not know");
}

absl::StatusOr<TaskRow*> TaskTable::Require(Generation generation, Position position) {
  TaskRow* row = Find(generation);
  if (row == nullptr) {
    return Contradiction(position,
                         absl::StrCat("names generation ", generation, ", which was not accepted"));
  }
  return row;
}

void TaskTable::AddEvent(Position position, EventEntry entry) {
  // Positions only grow.
  entry.stream->events.insert(entry.stream->events.end(), position);
  events_.emplace_hint(events_.end(), position, entry);
  if (position > entry.stream->acknowledged) CountUnacknowledged(*entry.stream, 1);
}

void TaskTable::CountUnacknowledged(OwnerStream& stream, int64_t change) {
  stream.unacknowledged += change;
  // Nobody's stream is never acknowledged.
  if (!stream.name.empty()) unacknowledged_ += change;
}

absl::Status TaskTable::ApplyAccepted(Position position, const rec::Accepted& accepted) {
  ASSIGN_OR_RETURN(const base::Id128 id, IdFromBytes(accepted.id()));
  ASSIGN_OR_RETURN(const base::Id128 submission, IdFromBytes(accepted.submission_id()));
  Admission admission;
  admission.decision = {.generation = accepted.generation(),
                        .id = {id},
                        .accepted_at_ms = accepted.accepted_at_ms(),
                        .accepted_boot_ms = accepted.accepted_boot_ms(),
                        .after_generation = accepted.after_generation()};
  admission.submission_id = {submission};
  admission.digest = accepted.digest();
  admission.facts = FactsOf(accepted);
  admission.facts.key = base::KeyString(accepted.key());
  if (accepted.ByteSizeLong() <= kInlineAcceptedBytesMax) {
    admission.accepted = accepted.SerializeAsString();
  }
  return Admit(position, std::move(admission));
}

absl::Status TaskTable::Admit(Position position, Admission admission) {
  const Decision& decision = admission.decision;
  TaskFacts& facts = admission.facts;
  if (decision.generation < next_generation_) {
    return Contradiction(position, absl::StrCat("generation ", decision.generation, " again"));
  }
  auto row = std::make_unique<TaskRow>();
  row->generation = decision.generation;
  row->id = decision.id;
  row->submission_id = admission.submission_id;
  row->digest = std::move(admission.digest);
  row->owner = &Stream(facts.owner);
  ++row->owner->tasks;
  row->provider = std::move(facts.provider);
  row->own_log_path = std::move(facts.own_log_path);
  if (admission.accepted.size() <= kInlineAcceptedBytesMax) {
    row->accepted = std::move(admission.accepted);
  }
  row->accepted_position = position;
  row->status_position = position;
  row->positions.push_back(position);
  row->status.set_state(v1::TASK_STATE_QUEUED);
  row->accepted_at_ms = decision.accepted_at_ms;
  row->accepted_boot_ms = decision.accepted_boot_ms;
  row->after_generation = decision.after_generation;
  row->start_deadline_ms = facts.start_deadline_ms;
  row->timeout_ms = facts.timeout_ms;
  row->grace_ms = facts.grace_ms;
  row->lease_ttl_ms = facts.lease_ttl_ms;
  row->lease_cancels = facts.lease_cancels;
  row->priority = facts.priority;
  row->replaces = facts.replaces;
  row->has_outputs = facts.has_outputs;
  if (!facts.blobs.empty()) {
    row->blobs = std::make_unique<std::vector<std::string>>(std::move(facts.blobs));
  }
  AddToIndexes(std::move(facts.key), *row);
  EventEntry entry{row->generation, row->accepted_at_ms, row->owner, v1::EVENT_TYPE_STATE,
                   v1::TASK_STATE_QUEUED};
  AddEvent(position, entry);
  tasks_.emplace_hint(tasks_.end(), row->generation, std::move(row));
  return absl::OkStatus();
}

void TaskTable::AddToIndexes(std::string key_string, TaskRow& row) {
  const auto entry_of_key = keys_.try_emplace(std::move(key_string)).first;
  row.key = &entry_of_key->first;
  KeyEntry& key = entry_of_key->second;
  key.kept.push_back(row.generation);
  (key.live == 0 ? key.live : key.successor) = row.generation;
  by_id_.emplace(row.id, &row);
  if (!row.own_log_path.empty()) by_log_path_.emplace(row.own_log_path, &row);
  by_submission_.emplace(row.submission_id, &row);
  ++counts_[v1::TASK_STATE_QUEUED];
  next_generation_ = After(row.generation);
}

absl::Status TaskTable::ApplyTransition(Position position, const rec::Transition& transition) {
  ASSIGN_OR_RETURN(TaskRow * row, Require(transition.generation(), position));
  const v1::TaskState state = transition.status().state();
  if (!v1::TaskState_IsValid(state) || state == v1::TASK_STATE_UNSPECIFIED) {
    return Contradiction(position, absl::StrCat("a state this version does not know: ", state));
  }
  --counts_[row->state()];
  if (!IsTerminal(row->state()) && IsTerminal(state)) {
    row->end_position = position;
  }
  row->status = transition.status();
  row->status_position = position;
  ++counts_[row->state()];
  row->positions.push_back(position);
  if (transition.event() != v1::EVENT_TYPE_UNSPECIFIED) {
    EventEntry entry{row->generation, transition.at_ms(), row->owner, transition.event(),
                     row->state()};
    AddEvent(position, entry);
  }
  KeyEntry& key = keys_.at(*row->key);
  if (key.successor == row->generation && IsTerminal(row->state())) key.successor = 0;
  if (key.live == row->generation && IsFenced(*row)) {
    key.live = std::exchange(key.successor, 0);
  }
  return absl::OkStatus();
}

void TaskTable::UnlistHandle(const SandboxRow& row) {
  const auto it = by_handle_.find({row.record.provider(), row.record.handle()});
  if (it != by_handle_.end() && it->second == &row) by_handle_.erase(it);
}

absl::Status TaskTable::ApplySandbox(Position position, const rec::SandboxRecord& record) {
  ASSIGN_OR_RETURN(const base::Id128 id, IdFromBytes(record.id()));
  const base::SandboxId sandbox_id{id};
  if (record.state() == rec::SandboxRecord::GONE) {
    const auto gone = sandboxes_.find(sandbox_id);
    if (gone == sandboxes_.end()) return absl::OkStatus();
    UnlistHandle(*gone->second);
    sandboxes_.erase(gone);
    return absl::OkStatus();
  }
  auto& slot = sandboxes_[sandbox_id];
  if (slot == nullptr) slot = std::make_unique<SandboxRow>();
  UnlistHandle(*slot);
  slot->id = sandbox_id;
  slot->record = record;
  slot->position = position;
  if (!record.handle().empty()) {
    // The key lies in the row's own record, so that an entry of another row is replaced as a whole.
    by_handle_.erase({slot->record.provider(), slot->record.handle()});
    by_handle_.emplace(std::pair<std::string_view, std::string_view>(slot->record.provider(),
                                                                     slot->record.handle()),
                       slot.get());
  }
  return absl::OkStatus();
}

absl::Status TaskTable::ApplySealed(Position position, const rec::Sealed& sealed) {
  ASSIGN_OR_RETURN(TaskRow * row, Require(sealed.generation(), position));
  row->sealed_position = position;
  return absl::OkStatus();
}

absl::Status TaskTable::ApplyLog(Position position, const rec::LogRecord& record) {
  ASSIGN_OR_RETURN(TaskRow * row, Require(record.generation(), position));
  row->positions.push_back(position);
  std::erase_if(row->log_records,
                [&record](const LoggedRecord& old) { return Supersedes(record, old.record); });
  row->log_records.push_back({position, record});
  return absl::OkStatus();
}

absl::Status TaskTable::ApplyOwnerChange(Position position, const rec::OwnerChange& change) {
  ASSIGN_OR_RETURN(TaskRow * row, Require(change.generation(), position));
  OwnerStream& to = Stream(change.new_owner());
  row->positions.push_back(position);
  const bool lost =
      change.new_owner() == row->owner->name;  // the second record of a pair tells the old owner
  EventEntry entry{row->generation, change.at_ms(), lost ? &Stream(change.old_owner()) : &to,
                   lost ? v1::EVENT_TYPE_OWNER_LOST : v1::EVENT_TYPE_OWNER_CHANGED, row->state()};
  if (!lost) {
    --row->owner->tasks;
    ++to.tasks;
    row->owner = &to;
  }
  AddEvent(position, entry);
  return absl::OkStatus();
}

absl::Status TaskTable::ApplyNote(Position position, const rec::Note& note) {
  ASSIGN_OR_RETURN(TaskRow * row, Require(note.generation(), position));
  row->positions.push_back(position);
  if (row->notes.size() < kNotesMax) row->notes.push_back(note.text());
  return absl::OkStatus();
}

void TaskTable::ApplyAck(Position position, const rec::Ack& ack) {
  OwnerStream& stream = Stream(ack.owner());
  stream.ack_record = position;
  if (ack.position() <= stream.acknowledged) return;
  const auto first = stream.events.upper_bound(stream.acknowledged);
  const auto last = stream.events.upper_bound(ack.position());
  CountUnacknowledged(stream, -std::distance(first, last));
  stream.acknowledged = ack.position();
}

void TaskTable::ApplyTombstone(Position position, const rec::Tombstone& tombstone) {
  next_generation_ = std::max(next_generation_, After(tombstone.generation()));
  if (auto id = IdFromBytes(tombstone.submission_id()); id.ok()) {
    tombstone_by_submission_[base::SubmissionId{*id}] = position;
  }
  tombstones_.emplace(position, tombstone);
}

void TaskTable::ApplyMeta(Position position, const rec::Meta& meta) {
  meta_ = meta;
  meta_position_ = position;
  next_generation_ = std::max(next_generation_, After(meta.generation_floor()));
  folded_floor_ = std::max(folded_floor_, meta.folded_cursor_floor());
  // A stream that was there already may have a floor below the folded one.
  for (const auto& [owner, floor] : meta.cursor_floor()) Stream(owner).floor = floor;
}

TaskRow* TaskTable::Find(Generation generation) {
  auto it = tasks_.find(generation);
  return it == tasks_.end() ? nullptr : it->second.get();
}

TaskRow* TaskTable::FindById(const base::TaskId& id) {
  auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

TaskRow* TaskTable::FindBySubmission(const base::SubmissionId& id) {
  auto it = by_submission_.find(id);
  return it == by_submission_.end() ? nullptr : it->second;
}

const rec::Tombstone* TaskTable::FindTombstone(const base::SubmissionId& id) const {
  auto it = tombstone_by_submission_.find(id);
  if (it == tombstone_by_submission_.end()) return nullptr;
  return &tombstones_.at(it->second);
}

TaskRow* TaskTable::FindByLogPath(const std::string& path) {
  auto it = by_log_path_.find(path);
  return it == by_log_path_.end() ? nullptr : it->second;
}

const KeyEntry* TaskTable::FindKey(const std::string& key) const {
  auto it = keys_.find(key);
  return it == keys_.end() ? nullptr : &it->second;
}

SandboxRow* TaskTable::FindSandbox(const base::SandboxId& id) {
  auto it = sandboxes_.find(id);
  return it == sandboxes_.end() ? nullptr : it->second.get();
}

SandboxRow* TaskTable::FindByHandle(const std::string& provider, const std::string& handle) {
  auto it = by_handle_.find({provider, handle});
  return it == by_handle_.end() ? nullptr : it->second;
}

SandboxRow* TaskTable::SandboxOf(const TaskRow& row) {
  auto id = IdFromBytes(row.status.sandbox_id());
  return id.ok() ? FindSandbox(base::SandboxId{*id}) : nullptr;
}

OwnerStream& TaskTable::Stream(const std::string& owner) {
  auto& slot = streams_[owner];
  if (slot == nullptr) {
    slot = std::make_unique<OwnerStream>();
    slot->name = owner;
    slot->floor = slot->first_floor = folded_floor_;
  }
  return *slot;
}

OwnerStream* TaskTable::FindStream(const std::string& owner) {
  auto it = streams_.find(owner);
  return it == streams_.end() ? nullptr : it->second.get();
}

void TaskTable::Remove(TaskRow& row) {
  for (Position position : row.positions) {
    auto it = events_.find(position);
    if (it == events_.end()) continue;
    OwnerStream& stream = *it->second.stream;
    if (position > stream.acknowledged) CountUnacknowledged(stream, -1);
    stream.events.erase(position);
    stream.floor = std::max(stream.floor, position);
    events_.erase(it);
  }
  auto key = keys_.find(*row.key);
  if (key != keys_.end()) {
    // An older task of the key may outlive a newer one: a successor that was cancelled, say.
    KeyEntry& entry = key->second;
    if (entry.live == row.generation) entry.live = std::exchange(entry.successor, 0);
    entry.kept.erase(std::remove(entry.kept.begin(), entry.kept.end(), row.generation),
                     entry.kept.end());
    if (entry.kept.empty()) keys_.erase(key);
  }
  by_id_.erase(row.id);
  if (auto path = by_log_path_.find(row.own_log_path);
      path != by_log_path_.end() && path->second == &row) {
    by_log_path_.erase(path);
  }
  by_submission_.erase(row.submission_id);
  --row.owner->tasks;
  --counts_[row.state()];
  tasks_.erase(row.generation);
}

void TaskTable::RemoveTombstone(Position position) {
  auto it = tombstones_.find(position);
  if (it == tombstones_.end()) return;
  if (auto id = IdFromBytes(it->second.submission_id()); id.ok()) {
    tombstone_by_submission_.erase(base::SubmissionId{*id});
  }
  tombstones_.erase(it);
}

void TaskTable::FoldStream(const std::string& owner) {
  auto it = streams_.find(owner);
  if (it == streams_.end() || !IsIdle(*it->second)) return;
  folded_floor_ = std::max(folded_floor_, it->second->floor);
  streams_.erase(it);
}

Position TaskTable::LastEventOf(const TaskRow& row) const {
  for (auto position = row.positions.rbegin(); position != row.positions.rend(); ++position) {
    const auto event = events_.find(*position);
    if (event != events_.end() && event->second.stream == row.owner) return *position;
  }
  return 0;
}

std::string TaskTable::Fingerprint() const {
  std::string out;
  for (const auto& [generation, row] : tasks_) {
    absl::StrAppend(&out, generation, " ", row->id.ToString(), " ", *row->key, " ",
                    row->owner->name, " ", row->status.ShortDebugString(),
                    " sealed=", row->sealed_position, " ended=", row->end_position,
                    " records=", absl::StrJoin(row->positions, ","), "\n");
    const KeyEntry& key = keys_.at(*row->key);
    absl::StrAppend(&out, "  key live=", key.live, " successor=", key.successor,
                    " newest=", key.newest(), "\n");
    for (const LoggedRecord& log : row->log_records)
      absl::StrAppend(&out, "  log ", log.record.ShortDebugString(), "\n");
    for (const std::string& note : row->notes) absl::StrAppend(&out, "  note ", note, "\n");
  }
  for (const auto& [id, row] : sandboxes_) {
    absl::StrAppend(&out, "sandbox ", id.ToString(), " ", row->record.ShortDebugString(), "\n");
  }
  for (const auto& [position, entry] : events_) {
    absl::StrAppend(&out, "event ", position, " ", entry.generation, " ", entry.type, " ",
                    entry.state, " ", entry.stream->name, "\n");
  }
  for (const auto& [owner, stream] : streams_) {
    absl::StrAppend(&out, "stream ", owner, " tasks=", stream->tasks,
                    " acknowledged=", stream->acknowledged, " floor=", stream->floor,
                    " unacknowledged=", stream->unacknowledged, "\n");
  }
  for (const auto& [position, tombstone] : tombstones_) {
    absl::StrAppend(&out, "tombstone ", position, " ", tombstone.generation(), "\n");
  }
  absl::StrAppend(&out, "next ", next_generation_, " drain ", drain_ ? 1 : 0, " folded ",
                  folded_floor_, " unacknowledged ", unacknowledged_, "\n");
  return out;
}

}  // namespace boxkeeper::daemon
