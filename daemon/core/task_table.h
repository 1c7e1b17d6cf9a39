// The core's memory: tasks, sandboxes, events and acknowledgements, with their indexes. A pure
// function of the records applied to it (I9): live changes and replay take the same way, Apply.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "base/id128.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "daemon/submit/packed_task.h"
#include "store/task_store.h"

namespace boxkeeper::daemon {

using Generation = int64_t;
using store::Position;

// One owner's event stream.
struct OwnerStream {
  std::string name;
  absl::btree_set<Position> events;  // kept ones, in order
  Position acknowledged = 0;
  Position ack_record = 0;     // where the newest Ack stands; 0 = none
  Position floor = 0;          // events at or below it may be gone
  Position first_floor = 0;    // its floor when it began: what was below never was its own
  int64_t unacknowledged = 0;  // of `events`
  int64_t tasks = 0;           // rows that belong to it now
};

struct EventEntry {
  Generation generation = 0;
  int64_t at_ms = 0;  // unix
  OwnerStream* stream = nullptr;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;  // the task's, as of this event
};

// One sandbox, bound to its lease (a task). Outlives the task's end until it is gone.
struct SandboxRow {
  base::SandboxId id;
  store::v1::SandboxRecord record;
  Position position = 0;
  // The watcher's cycles, not of the log: the one in which it was listed last, and the one in
  // which its handle became known.
  uint32_t listed_in = 0;
  uint32_t known_in = 0;
};

struct LoggedRecord {
  Position position = 0;
  store::v1::LogRecord record;
};

// One task. What is large (a spec above kInlineAcceptedBytesMax) stays in the store.
struct TaskRow {
  Generation generation = 0;
  base::TaskId id;
  base::SubmissionId submission_id;
  std::string digest;
  const std::string* key = nullptr;  // string form; the index of keys owns it
  OwnerStream* owner = nullptr;
  std::string provider;
  std::string own_log_path;  // log.path, where the task chose one that nobody may share; else empty
  std::string accepted;      // packed store::v1::Accepted; empty: read it at accepted_position
  Position accepted_position = 0;
  Position sealed_position = 0;     // 0 = no secrets, or erased
  std::vector<Position> positions;  // of every record that goes when the task is compacted
  Position status_position = 0;     // of the record `status` came from
  Position end_position = 0;        // of the record that ended it; 0 = it has not ended
  store::v1::TaskStatus status;
  std::vector<LoggedRecord> log_records;  // those that are not superseded
  std::vector<std::string> notes;

  // From the accepted record, for decisions without parsing it.
  int64_t accepted_at_ms = 0;
  int64_t accepted_boot_ms = 0;
  int64_t start_deadline_ms = 0;  // unix; 0 = none
  int64_t timeout_ms = 0;         // 0 = none
  int64_t grace_ms = -1;          // -1 = cancel_grace
  int64_t lease_ttl_ms = 0;       // 0 = no lease
  bool lease_cancels = false;
  int32_t priority = 0;
  bool replaces = false;
  bool has_outputs = false;  // asked for some
  // That its files name, each once; null = none. The core drops what it does not hold.
  std::unique_ptr<std::vector<std::string>> blobs;
  Generation after_generation = 0;

  v1::TaskState state() const { return status.state(); }
};

// The tasks of one key that matter now.
struct KeyEntry {
  absl::InlinedVector<Generation, 1> kept;  // all that are not compacted, ascending; not empty
  Generation live = 0;       // not terminal, or terminal and not yet fenced; 0 = none
  Generation successor = 0;  // waits for `live`; 0 = none

  Generation newest() const { return kept.back(); }
};

// An accepted record, taken apart.
struct Admission {
  Decision decision;
  base::SubmissionId submission_id;
  std::string digest;
  TaskFacts facts;
  std::string accepted;  // packed store::v1::Accepted; may be empty where it is too large to keep
};

// Used on the loop. Pointers to rows are valid until Remove of that row.
class TaskTable {
 public:
  // Applies one record that stands (or will stand) in the store at `position`. kDataLoss: it
  // contradicts what was applied before.
  absl::Status Apply(Position position, const store::v1::Record& record);
  // Where Apply of an accepted record ends, for one that was never a message on the loop.
  absl::Status Admit(Position position, Admission admission);

  TaskRow* Find(Generation generation);
  TaskRow* FindById(const base::TaskId& id);
  TaskRow* FindBySubmission(const base::SubmissionId& id);
  const store::v1::Tombstone* FindTombstone(const base::SubmissionId& id) const;
  // The task whose stored log stands at this path; nullptr if it is free.
  TaskRow* FindByLogPath(const std::string& path);
  const KeyEntry* FindKey(const std::string& key) const;

  SandboxRow* FindSandbox(const base::SandboxId& id);
  // By what its provider calls it; nullptr if no record has that handle.
  SandboxRow* FindByHandle(const std::string& provider, const std::string& handle);
  // Of the task's current attempt; nullptr if there is none or it is gone.
  SandboxRow* SandboxOf(const TaskRow& row);

  OwnerStream& Stream(const std::string& owner);
  OwnerStream* FindStream(const std::string& owner);

  // Forgets a terminal task: its row, events and indexes. The caller deletes `positions` from the
  // store and has put a tombstone.
  void Remove(TaskRow& row);
  void RemoveTombstone(Position position);
  // True for a stream without tasks and events.
  bool IsIdle(const OwnerStream& stream) const {
    return stream.tasks == 0 && stream.events.empty();
  }
  // Drops an idle stream, which nobody reads, into the folded floor. The caller deletes its
  // `ack_record` from the store before, and rewrites Meta.
  void FoldStream(const std::string& owner);
  // The newest event of `row` that its present owner was told; 0 = none.
  Position LastEventOf(const TaskRow& row) const;

  const absl::btree_map<Generation, std::unique_ptr<TaskRow>>& tasks() const { return tasks_; }
  // Ordered: what is decided in a walk over it is the same in each run of a simulation.
  const absl::btree_map<base::SandboxId, std::unique_ptr<SandboxRow>>& sandboxes() const {
    return sandboxes_;
  }
  const absl::btree_map<Position, EventEntry>& events() const { return events_; }
  const std::map<std::string, std::unique_ptr<OwnerStream>>& streams() const { return streams_; }
  const absl::btree_map<Position, store::v1::Tombstone>& tombstones() const { return tombstones_; }
  const store::v1::Meta& meta() const { return meta_; }
  Position meta_position() const { return meta_position_; }
  bool drain() const { return drain_; }
  Position drain_position() const { return drain_position_; }
  Generation next_generation() const { return next_generation_; }
  int64_t count(v1::TaskState state) const { return counts_[state]; }
  // Of all owners that have a name.
  int64_t unacknowledged_events() const { return unacknowledged_; }
  // Floor for owners without a stream of their own.
  Position folded_floor() const { return folded_floor_; }
  // For the tests of I9: a text of everything a client or a decision can see.
  std::string Fingerprint() const;

 private:
  absl::Status ApplyAccepted(Position position, const store::v1::Accepted& accepted);
  void AddToIndexes(std::string key, TaskRow& row);
  absl::Status ApplyTransition(Position position, const store::v1::Transition& transition);
  void UnlistHandle(const SandboxRow& row);
  absl::Status ApplySandbox(Position position, const store::v1::SandboxRecord& record);
  absl::Status ApplySealed(Position position, const store::v1::Sealed& sealed);
  absl::Status ApplyLog(Position position, const store::v1::LogRecord& record);
  absl::Status ApplyOwnerChange(Position position, const store::v1::OwnerChange& change);
  absl::Status ApplyNote(Position position, const store::v1::Note& note);
  void ApplyAck(Position position, const store::v1::Ack& ack);
  void ApplyTombstone(Position position, const store::v1::Tombstone& tombstone);
  void ApplyMeta(Position position, const store::v1::Meta& meta);
  absl::StatusOr<TaskRow*> Require(Generation generation, Position position);
  void AddEvent(Position position, EventEntry entry);
  void CountUnacknowledged(OwnerStream& stream, int64_t change);

  absl::btree_map<Generation, std::unique_ptr<TaskRow>> tasks_;
  absl::flat_hash_map<base::TaskId, TaskRow*> by_id_;
  absl::flat_hash_map<base::SubmissionId, TaskRow*> by_submission_;
  absl::node_hash_map<std::string, KeyEntry> keys_;  // rows point at their keys
  absl::flat_hash_map<std::string, TaskRow*> by_log_path_;
  absl::btree_map<base::SandboxId, std::unique_ptr<SandboxRow>> sandboxes_;
  // (provider, handle), both in the row's own record.
  absl::flat_hash_map<std::pair<std::string_view, std::string_view>, SandboxRow*> by_handle_;
  absl::btree_map<Position, EventEntry> events_;
  std::map<std::string, std::unique_ptr<OwnerStream>> streams_;
  absl::btree_map<Position, store::v1::Tombstone> tombstones_;
  absl::flat_hash_map<base::SubmissionId, Position> tombstone_by_submission_;
  store::v1::Meta meta_;
  Position meta_position_ = 0;
  bool drain_ = false;
  Position drain_position_ = 0;
  Generation next_generation_ = 1;
  Position folded_floor_ = 0;
  int64_t unacknowledged_ = 0;
  int64_t counts_[v1::TaskState_ARRAYSIZE] = {};
};

// The 16 bytes of an id in a record; kDataLoss for another length.
absl::StatusOr<base::Id128> IdFromBytes(const std::string& bytes);
std::string IdBytes(const base::Id128& id);

// `later` replaces `earlier` in the store (records.proto, LogRecord).
bool Supersedes(const store::v1::LogRecord& later, const store::v1::LogRecord& earlier);

// True if nothing of a terminal task can run any more, as far as its record knows.
bool IsFenced(const TaskRow& row);

}  // namespace boxkeeper::daemon
