// What the store durably holds, followed from outside the core: every batch that was committed, and
// what each start finds. The invariants that speak of durability ask here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "daemon/core/naming.h"
#include "store/task_store.h"
#include "tests/sim/trace.h"

namespace boxkeeper::sim {

struct DurableTask {
  int64_t generation = 0;
  std::string id;
  std::string submission;  // 16 bytes
  std::string owner;
  store::v1::Accepted accepted;  // without command
  store::v1::TaskStatus status;
  bool begun = false;  // its start was intended
};

struct DurableSandbox {
  std::string name;
  store::v1::SandboxRecord record;
  store::Position position = 0;
};

struct DurableEvent {
  int64_t generation = 0;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
};

// Checks each record against those before it (I1, I2, I4, I7, I11, drain). Lives through every
// crash.
class Durable {
 public:
  using Events = std::map<store::Position, DurableEvent>;

  Durable(Trace& trace, const daemon::Naming& naming) : trace_(trace), naming_(naming) {}

  // `moved` is told of each task whose state changed, once that is durable.
  void OnMove(std::function<void(const DurableTask& task)> moved) { moved_ = std::move(moved); }

  // The batch is on its way to the disk: after a crash all of it is there, or nothing.
  void Begun(const store::Batch& batch);
  void Committed(const store::Batch& batch);
  // The disk took nothing of it.
  void Refused() { on_its_way_.reset(); }
  // What a start finds. `older`: it is a restored backup, which may miss anything.
  absl::Status Reload(store::TaskStore& store, bool older);
  // The files are copied now; `older` is this copy.
  void KeepBackup() { known_at_backup_ = known_; }

  const DurableTask* FindTask(int64_t generation) const;
  const DurableTask* FindTaskById(const std::string& id) const;
  // True also for one of which only the tombstone is left.
  bool KnowsSubmission(const std::string& submission) const;
  bool IsCompacted(int64_t generation) const { return compacted_.contains(generation); }
  const DurableSandbox* FindSandbox(const std::string& name) const;
  const Events& EventsOf(const std::string& owner) const;
  store::Position AcknowledgedBy(const std::string& owner) const;
  // Where the stream of an owner that had none begins.
  store::Position folded_floor() const { return state_.folded_floor; }
  bool EverIntended(const std::string& name) const { return ever_intended_.contains(name); }
  // This store had a record of it once, be it gone: if the sandbox is still there it is an orphan.
  bool EverKnown(const std::string& name) const { return known_.contains(name); }
  bool HasLiveLease(const std::string& name) const;
  // The same, or its create has not come back yet.
  bool IsHeld(const std::string& name) const;
  int64_t epoch() const { return state_.epoch; }
  bool drain() const { return state_.drain; }
  const std::map<int64_t, DurableTask>& tasks() const { return state_.tasks; }
  int64_t live_tasks() const;
  // Ended, and nobody was told yet that everything of theirs is stored.
  int64_t unstored_tasks() const;

 private:
  // Forgotten and read anew at each start.
  struct State {
    std::map<int64_t, DurableTask> tasks;
    std::map<std::string, int64_t> by_id;
    std::map<std::string, int64_t> by_submission;
    std::map<std::string, DurableSandbox> sandboxes;  // by name
    std::map<std::string, Events> events;             // by owner
    std::map<std::string, store::Position> acks;
    std::map<store::Position, int64_t> kept;  // every record, and the task it belongs to (0 = none)
    std::map<store::Position, std::string> tombstones;  // to submission
    std::set<std::string> compacted;                    // submissions
    int64_t epoch = 0;
    store::Position folded_floor = 0;
    int64_t newest = 0;  // generation
    bool drain = false;
  };

  void Put(store::Position position, const std::string& bytes);
  void Delete(store::Position position);
  void Accepted(store::Position position, const store::v1::Accepted& record);
  void Transition(store::Position position, const store::v1::Transition& record);
  void CheckMove(const DurableTask& task, const store::v1::TaskStatus& to);
  void CheckLogComplete(const DurableTask& task, const store::v1::Transition& record);
  void CheckSuccess(const DurableTask& task, const store::v1::TaskStatus& status);
  void Sandbox(store::Position position, const store::v1::SandboxRecord& record);
  void OwnerChange(store::Position position, const store::v1::OwnerChange& record);
  void Tombstone(store::Position position, const store::v1::Tombstone& record);
  void CheckAcknowledged(const DurableTask& task);
  void AddEvent(const std::string& owner, store::Position position, DurableEvent event);
  void CheckNothingLost(const State& before, const std::optional<store::Batch>& on_its_way);
  std::string NameOf(const std::string& id_bytes) const;
  void Fail(const char* invariant, const std::string& what) { trace_.Fail(invariant, what); }

  Trace& trace_;
  const daemon::Naming& naming_;
  State state_;
  bool reloading_ = false;
  std::set<int64_t> adopted_;  // in this batch, and the old owner is not told yet
  std::function<void(const DurableTask&)> moved_;
  std::optional<store::Batch> on_its_way_;
  // Survive a reload: true for ever.
  std::set<std::string> ever_intended_;  // names whose create was intended
  std::set<int64_t> compacted_;          // generations
  // As the one above, but a restored backup forgets.
  std::set<std::string> known_;
  std::set<std::string> known_at_backup_;
};

}  // namespace boxkeeper::sim
