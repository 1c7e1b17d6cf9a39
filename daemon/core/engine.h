// The inside of the core: its state and its decisions, one file per job (the comment above each
// group names it).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/task_group.h"
#include "base/wait_list.h"
#include "daemon/core/core.h"
#include "daemon/core/journal.h"
#include "daemon/core/states.h"
#include "daemon/core/task_table.h"
#include "daemon/core/timer_queue.h"
#include "watcher/watcher.h"

namespace boxkeeper::daemon {

namespace asio = boost::asio;
namespace pb = ::boxkeeper::provider::v1;
namespace rec = ::boxkeeper::store::v1;

// One sandbox that is to go.
struct Destruction {
  base::SandboxId id;
  int failures = 0;
  int looks = 0;  // times that it was not found by its name, where the handle is not known
  bool look_again = false;
};

// One provider as the core sees it.
struct ProviderState {
  std::string name;
  std::shared_ptr<providers::Provider> provider;
  ProviderLimits limits;
  bool opened = false;
  std::optional<absl::Time> unreachable_since;
  std::string last_error;
  int64_t sandboxes = 0;  // not gone
  int64_t active = 0;     // tasks that are CREATING to STOPPING
  int failures = 0;       // calls in a row that did not reach it
  // (-priority, generation): the head is dispatched first.
  absl::btree_set<std::pair<int32_t, Generation>> ready;
  // The same for those that an earlier start accepted, until it is known that this store has not
  // forgotten what became of them.
  absl::btree_set<std::pair<int32_t, Generation>> held;

  // The batcher: items whose create intent is synced, in order.
  std::deque<base::SandboxId> to_create;
  int creates_in_flight = 0;  // items
  int batches_in_flight = 0;
  std::unique_ptr<base::Alarm> batch_alarm;
  bool batch_due = false;  // creation_batch_wait has passed for the oldest item

  std::deque<Destruction> to_destroy;  // due now
  absl::flat_hash_set<base::SandboxId>
      destroying;  // in to_destroy, in flight, or waiting to be due
  int destroys_in_flight = 0;

  int looks_in_flight = 0;  // Inspect
  std::unique_ptr<base::WaitList> look_ended;

  std::unique_ptr<base::WaitList> poll_now;
  std::unique_ptr<watcher::Watcher> watcher;
  uint32_t cycle = 0;   // of the watcher
  bool tried = false;   // to look, once
  bool looked = false;  // at everything, once
};

// Provider calls in flight that a hand-over waits for. Shared with the coroutines, whose frames may
// outlive the engine.
struct Calls {
  explicit Calls(base::Clock& clock) : changed(clock) {}
  int64_t count = 0;
  base::WaitList changed;
};

// One call in flight, for as long as it stands.
class CallScope {
 public:
  explicit CallScope(std::shared_ptr<Calls> calls) : calls_(std::move(calls)) { ++calls_->count; }
  ~CallScope() {
    --calls_->count;
    calls_->changed.NotifyAll();
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

 private:
  std::shared_ptr<Calls> calls_;
};

// Why a sandbox that no task holds is destroyed, or is not.
struct OrphanVerdict {
  v1::Orphan::Decision decision = v1::Orphan::FOREIGN;
  std::string explanation;
};
struct FoundOrphan {
  v1::Orphan orphan;
  std::string handle;
};

class Engine : public watcher::Subject {
 public:
  Engine(CoreDeps deps, CoreOptions options);
  ~Engine() override;

  // --- engine.cc: the one writer, timers, small things ---
  // Applies `event` to the task: edits a copy of its status, journals it, changes memory. Every
  // change of state passes here. False (counted, logged, nothing changed) if the table has no such
  // edge. `event_type` UNSPECIFIED: no event.
  bool Move(TaskRow& row, TaskEvent event, const std::function<void(rec::TaskStatus&)>& edit);
  // The same for changes of the status that are no move (fenced, log complete).
  void Amend(TaskRow& row, v1::EventType type, const std::function<void(rec::TaskStatus&)>& edit);
  // A copy to be edited and journalled anew.
  rec::TaskStatus CopyStatus(const TaskRow& row) const;
  // `row` ended and is fenced: who waits for its key may go on.
  void WakeSuccessor(const TaskRow& row);
  Position Write(const rec::Record& record);
  void WriteSandbox(rec::SandboxRecord record);
  // Erases the sandbox from store and memory: it is gone.
  void ForgetSandbox(SandboxRow& sandbox);
  void AddNote(TaskRow& row, const std::string& text);
  void EraseSecrets(TaskRow& row);
  void OnTimer(int64_t subject, TimerKind kind, base::BootTime due);
  void SetOptions(CoreOptions options);
  ProviderState* FindProvider(const std::string& name);
  void NoteCall(ProviderState& provider, const char* verb, const absl::Status& status);
  void Spawn(std::string id, std::function<asio::awaitable<void>()> run);
  int64_t NowMs() const;
  int64_t BootMs() const;
  base::BootTime BootFromMs(int64_t boot_ms) const;
  // A stored instant as boot time: by its boot part if it was written in this boot, else by wall
  // time.
  base::BootTime Instant(Position position, int64_t boot_ms, int64_t wall_ms) const;
  base::BootTime CallDeadline(const ProviderState& provider) const;
  // Completes when everything now in memory is durable: before any answer that tells of it.
  asio::awaitable<void> Durable() { return journal_.Synced(); }

  // --- submit.cc: admission ---
  void Submit(std::vector<PackedTask> items,
              std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done);
  v1::SubmitResult SubmitOne(PackedTask& item);
  // `live` holds the key, `waiting` waits for it; null: none.
  std::vector<std::string> PinBlobs(const std::vector<std::string>& blobs,
                                    std::vector<providers::FieldViolation>* missing);
  void UnpinBlobs(TaskRow& row);
  v1::SubmitResult Accept(PackedTask& item, const TaskRow* live, TaskRow* waiting);
  // What an accepted task needs to go on: a place in the ready queue, or timers.
  void Enlist(TaskRow& row);
  void ArmHandover(TaskRow& successor);
  // Not to be dispatched any more.
  void Unlist(const TaskRow& row);

  // --- dispatch.cc: ready queue, slots, batcher ---
  void Dispatch();
  void RequestDispatch();
  bool MayDispatch() const;
  ProviderState* NextToDispatch();
  void DispatchOne(ProviderState& provider, TaskRow& row);
  std::string WaitingFor(const TaskRow& row);
  bool Expired(const TaskRow& row) const;
  void Expire(TaskRow& row);
  void AddToBatch(const base::SandboxId& id);
  void FlushBatches(ProviderState& provider);
  asio::awaitable<void> RunBatch(ProviderState& provider, std::vector<base::SandboxId> ids);
  asio::awaitable<std::optional<pb::CreateRequest>> PrepareCreate(base::SandboxId id);
  pb::CreateRequest MakeCreateRequest(const SandboxRow& sandbox, const v1::SandboxSpec& spec) const;
  // No create of it is on its way as far as this process knows, and none had an effect.
  void DropUncreated(SandboxRow& sandbox);

  // --- launch.cc: from a create outcome to the launch request ---
  void OnCreateOutcome(const base::SandboxId& id, const pb::CreateOutcome& outcome);
  void CreateFailed(TaskRow* row, SandboxRow& sandbox, const pb::ProviderError& error);
  asio::awaitable<absl::StatusOr<pb::LaunchRequest>> MakeLaunch(Generation generation);
  asio::awaitable<absl::StatusOr<rec::Accepted>> ReadAccepted(Generation generation);
  asio::awaitable<absl::StatusOr<rec::SecretBundle>> OpenSecrets(Generation generation);

  // --- start.cc: from the start intent to the attested start ---
  void IntendStart(TaskRow& row, SandboxRow& sandbox);
  // `first`: no Start was ever sent for it.
  void SpawnStart(Generation generation, bool first);
  asio::awaitable<void> RunStart(Generation generation, bool first);
  // The Start calls for one task by this process.
  struct Starts {
    bool first = false;  // none was sent whose effect is not known
    int tries = 0;
    base::BootTime last_sent;     // when the last one came back, or this process began
    base::BootTime silent_since;  // from here on no call told what became of the start
  };
  asio::awaitable<bool> StartOnce(Generation generation, pb::LaunchRequest launch, Starts& starts);
  asio::awaitable<bool> ProveNotBegun(base::SandboxId id, Generation generation, Starts& starts);
  bool GaveUpStart(Generation generation, const pb::ProviderError& error, Starts& starts);
  asio::awaitable<void> WaitWhileStarting(Generation generation, base::BootClock::duration wait);

  // --- one_step.cc: where Create carries the command ---
  bool IsOneStep(const std::string& provider);
  asio::awaitable<bool> IntendCreate(base::SandboxId id, pb::CreateRequest& request);
  bool IsToBeCreated(const TaskRow* row, const SandboxRow& sandbox) const;
  void DropUnwanted(SandboxRow& sandbox);
  void Withdraw(SandboxRow& sandbox);
  size_t KeepCreatable(std::vector<base::SandboxId>& ids, std::vector<pb::CreateRequest>& requests);
  bool MayCreateNow(const base::SandboxId& id);
  void OnOneStepOutcome(SandboxRow& sandbox, const pb::CreateOutcome& outcome);
  void TakeHandle(SandboxRow& sandbox, const std::string& handle);
  void SpawnOneStep(Generation generation);
  asio::awaitable<void> RunOneStep(Generation generation);
  // Look-ups by name in a row.
  struct Finding {
    std::optional<base::BootTime> absent_since;
  };
  asio::awaitable<void> FindCreated(base::SandboxId id, Finding& finding);

  // --- observe.cc: what providers attest -> transitions ---
  void OnHint(ProviderState& provider, const providers::ProviderHint& hint);
  // Inspect, at most status_concurrency at a time.
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Look(ProviderState& provider,
                                                        std::string handle);
  // Looks and applies what it sees, which it also returns.
  asio::awaitable<absl::StatusOr<pb::SandboxView>> InspectNow(base::SandboxId id);
  void SpawnInspect(base::SandboxId id);
  // True if this is the second direct look-up, list_lag after the first, that did not find it.
  bool AbsentAgain(const base::SandboxId& id, const ProviderState& provider);
  void NoteLate(TaskRow& row, const pb::SandboxView& view);
  void Observe(SandboxRow& sandbox, const pb::SandboxView& view);
  void ArmRunTimeout(TaskRow& row);
  bool EndedBeforeOurStop(const TaskRow& row, const pb::ExitRecord& exit) const;
  void Finish(TaskRow& row, const pb::SandboxView& view);
  void AfterEnd(TaskRow& row);
  void FinishLost(TaskRow& row, const pb::ExitRecord& exit);
  void SandboxAbsent(SandboxRow& sandbox);

  // --- watch.cc: watcher::Subject ---
  asio::awaitable<void> PollLoop(ProviderState& provider);
  // Of its name, and not it: a sandbox has one handle, byte by byte.
  static bool IsAnother(const SandboxRow& sandbox, const pb::SandboxView& view);
  void BeginCycle(const std::string& provider) override;
  watcher::Row OnRow(const std::string& provider, const pb::SandboxView& view) override;
  std::vector<watcher::Known> Missing(const std::string& provider) override;
  void OnFound(const std::string& provider, const watcher::Known& known,
               const pb::SandboxView& view) override;
  void OnAbsent(const std::string& provider, const watcher::Known& known) override;
  void OnCall(const std::string& provider, const char* verb, const absl::Status& status) override;
  bool MayDestroySpare(const std::string& provider, const pb::SandboxView& view) override;

  // --- orphans.cc: sandboxes that no task holds ---
  // What is to become of a listed sandbox; nullopt if a task holds it. `unknown_for`: how long this
  // daemon has seen it without one. `accepted`: an epoch up to which it does not matter that this
  // store is older than the world; 0 = none.
  std::optional<OrphanVerdict> JudgeOrphan(const std::string& provider, const pb::SandboxView& view,
                                           base::BootClock::duration unknown_for, int64_t accepted);
  // All of one provider, as it lists them now.
  asio::awaitable<absl::Status> FindOrphans(ProviderState& provider, int64_t accepted,
                                            std::vector<FoundOrphan>* found);
  bool MayDestroyOrphan(const std::string& provider, const pb::SandboxView& view) override;
  asio::awaitable<absl::StatusOr<v1::ListOrphansResponse>> ListOrphans(
      v1::ListOrphansRequest request);
  asio::awaitable<absl::StatusOr<v1::ReapOrphansResponse>> ReapOrphans(
      v1::ReapOrphansRequest request);

  // --- older_store.cc: a store that is older than the world ---
  // `last`: the highest position in the store. Before the first Write.
  void BeginIncarnation(Position last);
  // True if a sandbox of ours, which no record names, was made by what this store knows nothing of.
  bool IsForgotten(const VerifiedSandbox& sandbox) const;
  void NoteForgotten(const std::string& provider, const std::string& name, int64_t epoch);
  void DropOldIncarnations();
  void NoteCycle(ProviderState& provider, const absl::Status& status);
  bool IsHeld(const ProviderState& provider, Generation generation) const;
  void Hold(ProviderState& provider);
  void Release(ProviderState& provider);
  // From here on sandboxes up to that epoch may be destroyed; it must be the one that is seen. 0
  // does nothing.
  absl::Status AcceptEpoch(int64_t accepted, bool dry_run);

  // --- stop.cc: cancel, stop, abandon ---
  v1::CancelResult::Outcome CancelRow(TaskRow& row, rec::Stop stop);
  void RequestStop(TaskRow& row, rec::Stop stop);
  void SpawnStop(Generation generation);
  asio::awaitable<void> RunStop(Generation generation);
  rec::Stop MakeStop(const TaskRow& row, v1::Reason reason, std::string message) const;
  // What one RunStop has done so far.
  struct StopCalls {
    base::BootTime begun;
    bool signalled = false;
    base::BootTime sent_at;                   // the last signal
    std::optional<base::BootTime> forced_at;  // the first KILL
  };
  asio::awaitable<bool> StopOnce(base::SandboxId id, Generation generation, StopCalls& stopping);
  asio::awaitable<void> SignalStopped(base::SandboxId id, Generation generation,
                                      StopCalls& stopping);
  asio::awaitable<bool> FenceStopped(base::SandboxId id, Generation generation,
                                     pb::SandboxView view, const StopCalls& stopping);
  void FinishStopped(TaskRow& row, const std::function<void(rec::TaskStatus&)>& edit);
  asio::awaitable<absl::StatusOr<v1::CancelTasksResponse>> CancelTasks(
      v1::CancelTasksRequest request);
  asio::awaitable<absl::StatusOr<v1::AbandonTaskResponse>> AbandonTask(
      v1::AbandonTaskRequest request);
  absl::StatusOr<v1::RenewLeaseResponse> RenewLease(v1::RenewLeaseRequest request);
  void LeaseLapsed(TaskRow& row, base::BootTime due);

  // --- cleanup.cc: sandboxes that are to go ---
  void Cleanup(SandboxRow& sandbox);
  void DestroyLater(ProviderState& provider, Destruction what, base::BootClock::duration wait);
  void PumpCleanup(ProviderState& provider);
  asio::awaitable<void> RunDestroy(ProviderState& provider, Destruction what);
  asio::awaitable<absl::Status> DestroyOnce(ProviderState& provider, Destruction& what);

  // --- events.cc: streams, acknowledgement, adoption ---
  absl::StatusOr<std::unique_ptr<EventReader>> WatchEvents(v1::WatchEventsRequest request);
  asio::awaitable<absl::StatusOr<v1::AckEventsResponse>> AckEvents(v1::AckEventsRequest request);
  asio::awaitable<absl::StatusOr<v1::AdoptTasksResponse>> AdoptTasks(v1::AdoptTasksRequest request);
  void NotifyChanged(Generation generation);

  // --- queries.cc: views, lists, waiting ---
  // The public task, durable or not: await Durable() before giving it away. `as_of` = null: now.
  asio::awaitable<absl::StatusOr<v1::Task>> View(Generation generation, const EventEntry* as_of);
  v1::Task BuildView(const TaskRow& row, const rec::Accepted& accepted, const EventEntry* as_of);
  TaskRow* Resolve(const v1::TaskRef& ref);
  bool Matches(const TaskRow& row, const v1::TaskFilter& filter,
               const rec::Accepted* accepted) const;
  asio::awaitable<absl::StatusOr<v1::Task>> GetTask(v1::GetTaskRequest request);
  asio::awaitable<absl::StatusOr<v1::ListTasksResponse>> ListTasks(v1::ListTasksRequest request);
  asio::awaitable<std::vector<Generation>> Select(v1::TaskFilter filter, Generation below,
                                                  size_t max);
  asio::awaitable<absl::StatusOr<v1::WaitTaskResponse>> WaitTask(v1::WaitTaskRequest request);

  // --- output_queries.cc: logs and artifacts ---
  absl::StatusOr<std::unique_ptr<LogStream>> ReadLog(v1::ReadLogRequest request);
  asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> ListArtifacts(
      v1::ListArtifactsRequest request);
  absl::StatusOr<std::unique_ptr<ArtifactStream>> ReadArtifact(v1::ReadArtifactRequest request);
  // The task, if it has ended, durably.
  absl::StatusOr<TaskRow*> ResolveEnded(const v1::TaskRef& ref);
  asio::awaitable<absl::StatusOr<LogTask>> DescribeLog(Generation generation);

  // --- status.cc: the daemon itself ---
  v1::GetCapacityResponse GetCapacity();
  void AddSandbox(const std::string& provider, const pb::SandboxView& view,
                  v1::ListSandboxesResponse& response);
  v1::GetStatusResponse GetStatus();
  v1::ListProvidersResponse ListProviders();
  asio::awaitable<absl::StatusOr<v1::ListSandboxesResponse>> ListSandboxes(
      v1::ListSandboxesRequest request);
  asio::awaitable<absl::StatusOr<v1::DrainResponse>> Drain(v1::DrainRequest request);
  std::vector<std::string> NotReadyBecause() const;

  // --- retention.cc ---
  asio::awaitable<void> RetentionLoop();
  bool Sweep();
  bool MayCompact(const TaskRow& row, int64_t ended_boot_ms) const;
  void Compact(TaskRow& row);
  bool FoldStream(const std::string& owner);
  bool FoldIdleStreams();
  // A new owner's stream begins where the folded ones end.
  void BeginStream(const std::string& owner);
  void DropTombstones();
  void WriteMeta();

  // --- recovery.cc ---
  asio::awaitable<absl::Status> Recover();
  asio::awaitable<absl::Status> Start();
  void RepinBlobs(TaskRow& row);
  void Resume(TaskRow& row);
  void ResumeSandbox(SandboxRow& sandbox);
  asio::awaitable<void> OpenProvider(ProviderState& provider);
  void ResumeCreating(const TaskRow& row, const base::SandboxId& id);
  asio::awaitable<void> FindWinner(base::SandboxId id, Generation generation);
  asio::awaitable<void> ResumeReady(base::SandboxId id, Generation generation);
  asio::awaitable<void> ResumeStarting(base::SandboxId id, Generation generation);
  asio::awaitable<void> HandOver(base::BootTime deadline);

  // --- output.cc: where the provider writes no spool ---
  bool IsPulled(const TaskRow& row);
  OutputSource SourceOf(const TaskRow& row);
  // Its output is fetched while it runs.
  void PullOutput(const TaskRow& row);
  // True: the end that `view` attests is told once the output is here. False: tell it now.
  // `gone`: the sandbox is, so that nothing more can be fetched.
  bool DrainFirst(const TaskRow& row, const pb::SandboxView& view, bool gone);
  bool WaitsForOutput(Generation generation);
  asio::awaitable<void> RunDrain(Generation generation, OutputSource source, OutputEnd end);

  // --- log_tracking.cc ---
  // True if the log port knows the task from now on.
  asio::awaitable<bool> TrackLog(Generation generation);
  // Of a task that ended without a log, which has its exit record stored all the same.
  void RecordEndLater(Generation generation);
  void RecordEnds();
  asio::awaitable<void> RecordEnd(Generation generation);
  void NoteRecorded(Generation generation);
  LogEnd MakeLogEnd(const TaskRow& row) const;
  asio::awaitable<absl::Status> RecordLog(rec::LogRecord record);
  void LogComplete(Generation generation);

  CoreDeps deps_;
  CoreOptions options_;
  Journal journal_;
  TaskTable table_;
  TimerQueue timers_;
  std::map<std::string, ProviderState> providers_;
  absl::flat_hash_set<Generation> driven_;  // tasks that a coroutine starts or stops now
  // Sandboxes that one direct look-up did not find, and when.
  absl::flat_hash_map<base::SandboxId, base::BootTime> missing_;
  // One-step creates that wait or are in flight in this process.
  absl::flat_hash_set<base::SandboxId> creating_;
  // Ends that are attested and wait for their output.
  absl::flat_hash_map<Generation, pb::SandboxView> draining_;
  // Of which an earlier create may have had an effect that nobody told, and since when.
  absl::flat_hash_map<base::SandboxId, base::BootTime> uncertain_;
  LogPort* log_port_ = nullptr;
  blobs::BlobPins* blob_pins_ = nullptr;
  // Ends without a log whose exit records are not stored yet: those that wait, and those that the
  // log port has now.
  absl::btree_set<Generation> unrecorded_;
  absl::flat_hash_set<Generation> recording_;

  bool recovered_ = false;
  bool started_ = false;
  bool stopping_ = false;
  bool dispatch_requested_ = false;
  int64_t epoch_ = 0;
  int64_t boot_first_position_ = 0;
  int64_t active_ = 0;        // tasks that hold a slot
  int64_t higher_epoch_ = 0;  // of sandboxes this store never knew: it is older than the world
  int64_t accepted_epoch_ = 0;
  Generation first_generation_ = 0;  // that this start may accept
  uint64_t incarnation_ = 0;
  std::vector<rec::Incarnation>
      incarnations_;  // that this store knows, ascending; the last is ours
  absl::Time started_at_;

  // Who waits for a task's next durable change (WaitTask), and who for events.
  absl::btree_map<Generation, std::vector<std::weak_ptr<base::WaitList>>> waiters_;
  std::shared_ptr<std::vector<Generation>> changed_;  // in the journal's open batch
  int64_t changed_batch_ = -1;
  std::shared_ptr<base::WaitList> events_changed_;
  std::map<std::string, int> readers_;                     // open event streams by owner
  absl::btree_set<std::pair<int64_t, Generation>> ended_;  // (end in boot ms, task): for retention
  std::pair<int64_t, Generation> swept_to_{INT64_MIN, 0};  // where the last sweep of ended_ stopped
  int sweeps_ = 0;
  std::shared_ptr<Calls> calls_;
  // Expires with the engine: for what may be run or destroyed after it.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);

  // Last: its coroutines use everything above.
  base::TaskGroup group_;
};

// After a create or a start whose answer was lost, how long until its effect is there, or never
// will be.
std::chrono::milliseconds Settle(const ProviderState& provider);
// True if another try may help.
bool IsRetryable(pb::ErrorClass error_class);
// Google's types from milliseconds; 0 stays unset where noted.
google::protobuf::Timestamp ToTimestamp(int64_t unix_ms);
absl::Status TaskNotFound(const std::string& what);
absl::Status NoSuchProvider(const std::string& name);
int64_t ToMillis(const google::protobuf::Duration& duration);
google::protobuf::Duration ToDuration(std::chrono::milliseconds millis);
// What every end before the start intent has in common: user code never ran, nothing is left.
void MarkNeverStarted(rec::TaskStatus& status);
std::string CursorText(Position position);
absl::StatusOr<Position> ParseCursor(const std::string& cursor);

}  // namespace boxkeeper::daemon
