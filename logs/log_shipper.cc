#include "logs/log_shipper.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/task_group.h"
#include "logs/airflow_piece.h"
#include "logs/exit_record.h"
#include "logs/log_path.h"
#include "logs/lost_tail.h"
#include "logs/ship_airflow.h"
#include "logs/ship_pieces.h"
#include "logs/ship_plain.h"
#include "logs/ship_room.h"
#include "logs/spool_redactor.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// What one turn may ship before others have theirs.
constexpr uint64_t kTurnBytes = 16 * 1024 * 1024;
// How often a log without news is looked at: soon at first, then ever rarer.
constexpr milliseconds kPollMin{100};
constexpr milliseconds kPollMax{2'000};
// ... and one whose command waits for the store.
constexpr milliseconds kRoomPoll{20};
// So often, with the back-off between, a spool that is too short is looked at before it is
// believed.
constexpr int kBelieveAfter = 5;
constexpr int kGrowthPercent = 150;  // of flush and poll intervals, each time

milliseconds Grown(milliseconds interval, milliseconds max) {
  return std::min(interval * kGrowthPercent / 100, max);
}

}  // namespace

// The journal that the turns see: notices when the real one fails.
class LogShipper::Impl final : public LogJournal, public std::enable_shared_from_this<Impl> {
 public:
  Impl(Deps deps, ShipperOptions options)
      : real_(std::move(deps)),
        deps_{real_.clock, real_.rng,  real_.files, real_.store, *this,
              real_.loop,  real_.pool, nullptr,     nullptr},
        options_(options),
        alarm_(real_.clock.NewAlarm(real_.loop)),
        group_(real_.clock, real_.loop) {}

  void Track(ShipJob job) {
    auto log = std::make_shared<TrackedLog>(std::move(job));
    if (!logs_.try_emplace(log->job.task, log).second) return;
    if (Resume(*log)) {
      log->end.emplace();  // nothing is left to be ended
      asio::post(real_.loop, [weak = weak_from_this(), log] {
        if (auto alive = weak.lock()) alive->Completed(*log);
      });
      return;
    }
    log->flush_interval = options_.flush_interval;
    log->flush_bytes = options_.flush_bytes;
    log->poll_interval = kPollMin;
    const base::BootTime now = real_.clock.Boot();
    log->last_flush =
        now - options_.flush_interval;  // the first bytes are flushed when they are seen
    LookAt(log, now + kPollMin);
  }

  void NoteEnd(const base::TaskId& task, LogEnd end) {
    const auto found = logs_.find(task);
    if (found == logs_.end() || found->second->end) return;
    const std::shared_ptr<TrackedLog>& log = found->second;
    log->end = std::move(end);
    log->end->note = Redacted(log->end->note, log->job.redactor.get());
    SetWaiting(*log, false);
    if (log->running) {
      log->look_again = true;
    } else {
      LookAt(log, real_.clock.Boot());
    }
  }

  void Release(const base::TaskId& task) {
    const auto found = logs_.find(task);
    if (found == logs_.end() || !found->second->end || !found->second->end->held) return;
    const std::shared_ptr<TrackedLog>& log = found->second;
    log->end->held = false;
    if (log->running) {
      log->look_again = true;
    } else {
      LookAt(log, real_.clock.Boot());
    }
  }

  void Forget(const base::TaskId& task) {
    const auto found = logs_.find(task);
    if (found == logs_.end()) return;
    found->second->forgotten = true;
    Remove(*found->second);
  }

  std::optional<StoredLog> Stored(const base::TaskId& task) const {
    const auto found = logs_.find(task);
    if (found == logs_.end()) return std::nullopt;
    const TrackedLog& log = *found->second;
    return StoredLog{.layout = log.job.layout,
                     .path = log.job.path,
                     .generation = log.job.generation,
                     .stdout_gap = log.plain_of(Stream::kStdout).gap,
                     .stderr_gap = log.plain_of(Stream::kStderr).gap};
  }

  ShipperStatus status() const {
    ShipperStatus status = status_;
    status.tracked = logs_.size();
    return status;
  }
  void SetOptions(ShipperOptions options) { options_ = options; }
  void SetSpoolPressed(bool pressed) { spool_pressed_ = pressed; }

  asio::awaitable<absl::Status> Stop(base::BootTime deadline) {
    stopping_ = true;
    alarm_->Cancel();
    co_return co_await group_.Join(deadline);
  }

  asio::awaitable<absl::Status> Record(store::v1::LogRecord record) override {
    absl::Status status = co_await real_.journal.Record(std::move(record));
    if (!status.ok() && !std::exchange(stopping_, true)) {
      if (real_.on_journal_error) real_.on_journal_error(status);
    }
    co_return status;
  }

 private:
  void LookAt(const std::shared_ptr<TrackedLog>& log, base::BootTime due) {
    Unlist(*log);
    log->due = due;
    log->in_timetable = true;
    timetable_.emplace(due, log->job.generation, log);
    Pump();
  }

  void Unlist(TrackedLog& log) {
    if (!std::exchange(log.in_timetable, false)) return;
    timetable_.erase(timetable_.lower_bound({log.due, log.job.generation, nullptr}));
  }

  void Remove(TrackedLog& log) {
    Unlist(log);
    SetBacklog(log, 0);
    SetWaiting(log, false);
    if (log.failures > 0) --status_.failing;
    log.failures = 0;
    const base::TaskId task = log.job.task;
    logs_.erase(task);
  }

  // Starts what is due, as far as there are slots, and sets the alarm for the rest.
  void Pump() {
    if (stopping_) return;
    const base::BootTime now = real_.clock.Boot();
    while (running_ < options_.concurrency && !timetable_.empty()) {
      const auto& [due, generation, first] = *timetable_.begin();
      if (due > now) break;
      std::shared_ptr<TrackedLog> log = first;
      Unlist(*log);
      log->running = true;
      ++running_;
      group_.Spawn(log->job.task.ToString(), [this, log] { return Visit(log); });
    }
    if (running_ >= options_.concurrency || timetable_.empty()) return alarm_->Cancel();
    alarm_->Set(std::get<0>(*timetable_.begin()), [weak = weak_from_this()] {
      if (auto alive = weak.lock()) alive->Pump();
    });
  }

  // One look at a log: ships what is due for shipping and says when to look again.
  asio::awaitable<void> Visit(std::shared_ptr<TrackedLog> log) {
    log->look_again = false;
    ShipTurn turn;
    absl::Status result = co_await Ship(log, turn);
    if (!result.ok() && log->end) co_await LookForTail(log);
    --running_;
    log->running = false;
    status_.stored_bytes += turn.stored_bytes;
    status_.pieces += turn.pieces;
    status_.redacted += turn.redacted;
    if (log->forgotten || stopping_) co_return Pump();
    if (!result.ok()) {
      Failed(log, result);
    } else if (turn.done) {
      Completed(*log);
      Pump();
    } else {
      Succeeded(*log);
      // Release looks again.
      if (turn.held && !log->look_again) co_return Pump();
      LookAt(log, NextLook(*log, turn));
    }
  }

  asio::awaitable<absl::Status> Ship(std::shared_ptr<TrackedLog> log, ShipTurn& turn) {
    if (!log->end) {
      absl::Status measured = co_await Measure(log);
      CO_RETURN_IF_ERROR(measured);
      if (!log->end && !FlushIsDue(*log)) co_return absl::OkStatus();
    }
    absl::Status shipped;
    if (log->job.layout == Layout::kAirflow) {
      shipped = co_await ShipAirflow(deps_, log, kTurnBytes, log->flush_bytes, turn);
    } else if (real_.store.can_append()) {
      shipped = co_await ShipPlain(deps_, log, kTurnBytes, turn);
    } else {
      shipped = co_await ShipPieces(deps_, log, kTurnBytes, turn);
    }
    CO_RETURN_IF_ERROR(shipped);
    Flushed(*log, turn);
    if (!turn.done) co_await FreeConfirmed(deps_, log);
    if (!turn.done || log->forgotten) co_return absl::OkStatus();
    turn.done = false;
    if (log->end->held) {
      turn.held = true;
      co_return absl::OkStatus();
    }
    // Where nobody attested the sizes they are the spool's, and the power may have taken from it
    // what is stored.
    log->end->stdout_bytes = std::max(log->end->stdout_bytes, log->Rendered(Stream::kStdout));
    log->end->stderr_bytes = std::max(log->end->stderr_bytes, log->Rendered(Stream::kStderr));
    absl::Status ended = co_await Complete(log);
    CO_RETURN_IF_ERROR(ended);
    turn.done = true;
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Measure(std::shared_ptr<TrackedLog> log) {
    auto look = [files = &real_.files, spool = log->job.spool] {
      return LookAtSpool(*files, spool);
    };
    auto seen = co_await base::RunOn(real_.pool, std::move(look));
    CO_RETURN_IF_ERROR(seen.status());
    if (log->forgotten) co_return absl::OkStatus();
    SetWaiting(*log, seen->waiting && !log->end);
    NoteLook(*log, *seen, spool_pressed_);
    uint64_t backlog = 0;
    for (const Stream stream : log->job.streams) {
      const uint64_t size = seen->bytes[static_cast<size_t>(stream)];
      const uint64_t shipped = log->Shipped(stream);
      backlog += size > shipped ? size - shipped : 0;
    }
    SetBacklog(*log, backlog);
    co_return absl::OkStatus();
  }

  bool FlushIsDue(const TrackedLog& log) const {
    for (const Stream stream : log.job.streams) {
      if (log.RoomIsDue(stream)) return true;
    }
    if (log.backlog == 0 || log.needs_room) return log.backlog > 0;
    const bool copies = log.job.layout == Layout::kMetaflow && !real_.store.can_append();
    return log.backlog >= (copies ? GrowingFlushBytes(log) : log.flush_bytes) ||
           real_.clock.Boot() >= log.last_flush + log.flush_interval;
  }

  void Flushed(TrackedLog& log, const ShipTurn& turn) {
    log.last_flush = real_.clock.Boot();
    log.flush_interval = Grown(log.flush_interval, options_.flush_interval_max);
    log.flush_bytes = std::min(log.flush_bytes * 2, options_.flush_bytes_max);
    if (turn.stored_bytes > 0) log.poll_interval = kPollMin;
    SetBacklog(log, log.backlog > turn.stored_bytes ? log.backlog - turn.stored_bytes : 0);
  }

  base::BootTime NextLook(TrackedLog& log, const ShipTurn& turn) {
    const base::BootTime now = real_.clock.Boot();
    if (turn.more || log.look_again || log.end) return now;
    if (std::exchange(log.has_freed, false) && log.needs_room) return now + kRoomPoll;
    const base::BootTime poll = now + log.poll_interval;
    log.poll_interval = Grown(log.poll_interval, kPollMax);
    const base::BootTime flush = log.last_flush + log.flush_interval;
    return log.backlog > 0 && flush > now ? std::min(poll, flush) : poll;
  }

  // An ended log that cannot be shipped: is it all still there? Nobody writes to its spool any
  // more, so what is missing again and again (and not only while a disk is not mounted) is gone.
  asio::awaitable<void> LookForTail(std::shared_ptr<TrackedLog> log) {
    auto look = [files = &real_.files, spool = log->job.spool] {
      return SpooledLengths(*files, spool);
    };
    const auto lengths = co_await base::RunOn(real_.pool, std::move(look));
    if (!lengths.ok()) co_return;
    log->short_looks = LacksTail(*log, *lengths) ? log->short_looks + 1 : 0;
    if (log->short_looks < kBelieveAfter) co_return;
    GiveUpTail(*log, *lengths);
    base::LogWarning("the spool lost output before it was stored",
                     {{"task_id", log->job.task.ToString()}, {"lost", log->lost}});
  }

  // Everything is stored: the spool is redacted for later readers, then the exit record, then the
  // journal's last word, after which the secret values are forgotten.
  asio::awaitable<absl::Status> Complete(std::shared_ptr<TrackedLog> log) {
    if (log->job.redactor && !log->spool_redacted) {
      auto redact = [files = &real_.files, spool = log->job.spool, redactor = log->job.redactor] {
        return RedactSpool(*files, spool, *redactor);
      };
      absl::Status redacted = co_await base::RunOn(real_.pool, std::move(redact));
      CO_RETURN_IF_ERROR(redacted);
      log->spool_redacted = true;
    }
    absl::Status put = co_await PutExitRecord(*log);
    CO_RETURN_IF_ERROR(put);
    store::v1::LogRecord record;
    record.set_generation(log->job.generation);
    record.set_complete(true);
    record.set_lost(log->lost);
    co_return co_await Record(std::move(record));
  }

  asio::awaitable<absl::Status> PutExitRecord(TrackedLog& log) {
    if (log.exit_record_stored || !log.end->exit_record) co_return absl::OkStatus();
    auto print = [name = ExitRecordName(log.job.task), text_of = log.end->exit_record,
                  facts = StoredFacts(log, real_.store.can_append())]() -> absl::StatusOr<Piece> {
      auto text = std::make_shared<const std::string>(CompleteExitRecord(text_of(), facts));
      return Piece{.name = name,
                   .size = text->size(),
                   .sha256 = base::Sha256(*text),
                   .open = TextOpener(text)};
    };
    auto piece = co_await base::RunOn(real_.pool, std::move(print));
    CO_RETURN_IF_ERROR(piece.status());
    if (piece->size > 0) {
      base::Failpoint("log.before_exit_record");
      absl::Status put = co_await real_.store.Put(*std::move(piece));
      CO_RETURN_IF_ERROR(put);
      base::Failpoint("log.after_exit_record");
    }
    log.exit_record_stored = true;
    co_return absl::OkStatus();
  }

  void Completed(TrackedLog& log) {
    if (log.forgotten) return;
    ++status_.completed;
    const base::TaskId task = log.job.task;
    Remove(log);
    real_.on_complete(task);
  }

  void Succeeded(TrackedLog& log) {
    if (log.failures == 0) return;
    log.failures = 0;
    --status_.failing;
    status_.last_error.clear();
  }

  void Failed(const std::shared_ptr<TrackedLog>& log, const absl::Status& error) {
    if (log->failures++ == 0) ++status_.failing;
    ++status_.store_failures;
    status_.last_error = std::string(error.message());
    base::LogWarning("log not stored, will try again",
                     {{"task_id", log->job.task.ToString()}, {"error", error}});
    const base::BackoffOptions backoff{.initial = options_.retry_initial,
                                       .max = options_.retry_max};
    LookAt(log, real_.clock.Boot() + base::BackoffFor(backoff, log->failures - 1, real_.rng));
  }

  void SetWaiting(TrackedLog& log, bool waiting) {
    status_.held = status_.held - (log.waiting ? 1 : 0) + (waiting ? 1 : 0);
    log.waiting = waiting;
  }

  void SetBacklog(TrackedLog& log, uint64_t bytes) {
    status_.backlog_bytes = status_.backlog_bytes - log.backlog + bytes;
    log.backlog = bytes;
  }

  const Deps real_;
  const Deps deps_;  // the turns': with this journal, without callbacks
  ShipperOptions options_;
  std::unique_ptr<base::Alarm> alarm_;
  absl::flat_hash_map<base::TaskId, std::shared_ptr<TrackedLog>> logs_;
  // By (due, generation): each listed log once.
  std::set<std::tuple<base::BootTime, int64_t, std::shared_ptr<TrackedLog>>> timetable_;
  int running_ = 0;
  bool stopping_ = false;
  bool spool_pressed_ = false;
  ShipperStatus status_;
  base::TaskGroup group_;
};

LogShipper::LogShipper(Deps deps, ShipperOptions options)
    : impl_(std::make_shared<Impl>(std::move(deps), options)) {}
LogShipper::~LogShipper() = default;

void LogShipper::Track(ShipJob job) { impl_->Track(std::move(job)); }
void LogShipper::NoteEnd(const base::TaskId& task, LogEnd end) {
  impl_->NoteEnd(task, std::move(end));
}
void LogShipper::Release(const base::TaskId& task) { impl_->Release(task); }
void LogShipper::Forget(const base::TaskId& task) { impl_->Forget(task); }
void LogShipper::SetSpoolPressed(bool pressed) { impl_->SetSpoolPressed(pressed); }
std::optional<StoredLog> LogShipper::Stored(const base::TaskId& task) const {
  return impl_->Stored(task);
}
ShipperStatus LogShipper::status() const { return impl_->status(); }
void LogShipper::SetOptions(ShipperOptions options) { impl_->SetOptions(options); }
asio::awaitable<absl::Status> LogShipper::Stop(base::BootTime deadline) {
  co_return co_await impl_->Stop(deadline);
}

}  // namespace boxkeeper::logs
