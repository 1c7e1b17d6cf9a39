// Compaction: results that were kept long enough become tombstones, tombstones end too.
#include <utility>

#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

constexpr std::chrono::milliseconds kSweepInterval{1'000};
// While there is more to compact than a sweep does: 2 000 a second, more than tasks can end.
constexpr std::chrono::milliseconds kBusySweepInterval{100};
// Looked at, and compacted, per sweep: bounds the loop's work and the batch's size.
constexpr int kLooksPerSweep = 2'000;
constexpr int kCompactionsPerSweep = 200;
// Idle streams are looked for once a minute.
constexpr int kSweepsPerFold = 60;

}  // namespace

asio::awaitable<void> Engine::RetentionLoop() {
  while (!stopping_) {
    const bool more = Sweep();
    DropTombstones();
    absl::Status slept = co_await deps_.clock.SleepUntil(
        deps_.clock.Boot() + (more ? kBusySweepInterval : kSweepInterval));
    if (!slept.ok()) co_return;
  }
}

// Whether it stopped at the bound of what one sweep compacts.
bool Engine::Sweep() {
  const int64_t due = BootMs() - options_.retention.count();
  auto it = ended_.upper_bound(swept_to_);
  int compacted = 0;
  bool folded = sweeps_++ % kSweepsPerFold == 0 && FoldIdleStreams();
  for (int looked = 0; looked < kLooksPerSweep && compacted < kCompactionsPerSweep; ++looked) {
    if (it == ended_.end() || it->first > due) {
      swept_to_ = {INT64_MIN, 0};
      break;
    }
    swept_to_ = *it;
    TaskRow* row = table_.Find(it->second);
    if (row == nullptr) {
      it = ended_.erase(it);
    } else if (MayCompact(*row, it->first)) {
      Compact(*row);
      it = ended_.erase(it);
      ++compacted;
    } else {
      ++it;
    }
  }
  if (compacted > 0 || folded) WriteMeta();  // the floors of the streams whose events went
  return compacted == kCompactionsPerSweep;
}

// `ended_boot_ms`: in the boot time of now, even if it ended in an earlier boot.
bool Engine::MayCompact(const TaskRow& row, int64_t ended_boot_ms) const {
  if (!IsFenced(row)) return false;
  auto sandbox = IdFromBytes(row.status.sandbox_id());
  if (sandbox.ok() && table_.sandboxes().contains(base::SandboxId{*sandbox})) return false;
  const bool overdue = BootMs() - ended_boot_ms > options_.unacked_retention.count();
  if (overdue) return true;
  if (log_port_ != nullptr && !row.status.log_complete()) return false;
  if (row.owner->name.empty()) return true;
  if (base::Mutated("compacted_before_acknowledged")) return true;
  return table_.LastEventOf(row) <= row.owner->acknowledged;
}

void Engine::Compact(TaskRow& row) {
  rec::Record record;
  rec::Tombstone& tombstone = *record.mutable_tombstone();
  tombstone.set_generation(row.generation);
  tombstone.set_submission_id(IdBytes(row.submission_id.id));
  tombstone.set_digest(row.digest);
  tombstone.set_id(IdBytes(row.id.id));
  tombstone.set_state(row.state());
  tombstone.set_reason(row.status.reason());
  tombstone.set_owner(row.owner->name);
  tombstone.set_ended_at_ms(row.status.ended_at_ms());
  if (base::Mutated("record_left_at_compaction")) row.positions.pop_back();
  for (const Position position : row.positions) journal_.Delete(position);
  EraseSecrets(row);
  Write(record);
  const base::TaskId id = row.id;
  const std::string owner = row.owner->name;
  NoteRecorded(row.generation);
  table_.Remove(row);
  FoldStream(owner);
  base::Failpoint("compact.recorded");
  if (log_port_ != nullptr) {
    journal_.WhenSynced([this, id] { log_port_->Forget(id); });
  }
}

// A stream without tasks and events that nobody reads: what it would tell, the folded floor tells.
bool Engine::FoldStream(const std::string& owner) {
  const OwnerStream* stream = table_.FindStream(owner);
  if (stream == nullptr || !table_.IsIdle(*stream) || readers_.contains(owner)) return false;
  if (stream->ack_record != 0) journal_.Delete(stream->ack_record);
  table_.FoldStream(owner);
  return true;
}

// Those that were still read, or held another owner's last events, when their last task went.
bool Engine::FoldIdleStreams() {
  std::vector<std::string> idle;
  for (const auto& [owner, stream] : table_.streams()) {
    if (table_.IsIdle(*stream) && !readers_.contains(owner)) idle.push_back(owner);
  }
  for (const std::string& owner : idle) FoldStream(owner);
  return !idle.empty();
}

void Engine::BeginStream(const std::string& owner) {
  if (owner.empty() || table_.FindStream(owner) != nullptr || table_.folded_floor() == 0) return;
  rec::Record record;
  record.mutable_ack()->set_owner(owner);
  record.mutable_ack()->set_position(table_.folded_floor());
  Write(record);
}

void Engine::DropTombstones() {
  const int64_t due = NowMs() - options_.dedupe_retention.count();
  bool dropped = false;
  for (int i = 0; i < kLooksPerSweep && !table_.tombstones().empty(); ++i) {
    const auto& [position, tombstone] = *table_.tombstones().begin();
    if (tombstone.ended_at_ms() > due) break;
    const Position at = position;
    journal_.Delete(at);
    table_.RemoveTombstone(at);
    dropped = true;
  }
  // Generations and positions are never used again: the floors must outlive what carried them.
  if (dropped) WriteMeta();
}

void Engine::WriteMeta() {
  rec::Record record;
  rec::Meta& meta = *record.mutable_meta();
  meta.set_epoch(epoch_);
  meta.set_generation_floor(table_.next_generation() - 1);
  meta.set_deployment_id(options_.deployment_id);
  meta.set_boot_id(deps_.clock.BootId());
  meta.set_boot_first_position(boot_first_position_);
  meta.set_folded_cursor_floor(table_.folded_floor());
  DropOldIncarnations();
  meta.mutable_incarnations()->Add(incarnations_.begin(), incarnations_.end());
  meta.set_accepted_epoch(accepted_epoch_);
  for (const auto& [owner, stream] : table_.streams()) {
    if (stream->floor > 0) (*meta.mutable_cursor_floor())[owner] = stream->floor;
  }
  if (table_.meta_position() != 0) journal_.Delete(table_.meta_position());
  Write(record);
}

}  // namespace boxkeeper::daemon
