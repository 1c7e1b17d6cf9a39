// Moves spooled output to the log store while tasks run, and says when the store has every byte.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "base/rng.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/end_note.h"
#include "logs/object_store.h"
#include "logs/redactor.h"
#include "logs/spool_files.h"
#include "logs/stored_log.h"

namespace boxkeeper::logs {

// The part of the store's log that shipping writes. The core implements it.
class LogJournal {
 public:
  virtual ~LogJournal() = default;
  // Completes with OK when the record is synced. A newer record replaces the older ones with the
  // same (generation, stream, dropped); one with `complete` replaces all but those with `dropped`:
  // the core may forget the replaced ones.
  virtual boost::asio::awaitable<absl::Status> Record(store::v1::LogRecord record) = 0;
};

// One task's log.
struct ShipJob {
  base::TaskId task;
  int64_t generation = 0;
  SpoolFiles spool;
  Layout layout = Layout::kPlain;
  std::string path;                                               // below the base URL, validated
  std::vector<Stream> streams{Stream::kStdout, Stream::kStderr};  // which ones are stored
  // Must be the same after a restart until the log is complete, else what was cut before is cut
  // anew: the core keeps the sealed values until then. Null: nothing is redacted.
  std::shared_ptr<const Redactor> redactor;
  // overflow `block`: what the store has is freed once the spool holds half of `spool_bytes_max`
  // (0: it has no bound of its own), or SetSpoolPressed said so. (What a supervisor that waits asks
  // for is freed in any case.)
  bool frees_stored = false;
  uint64_t spool_bytes_max = 0;
  int64_t accepted_at_ms = 0;                // unix; dates lines whose arrival nobody noted
  std::vector<store::v1::LogRecord> resume;  // the journal's records of this generation, in order
};

// The final sizes, from the exit record (or from the spool files when the task was lost).
struct LogEnd {
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
  uint64_t dropped_bytes = 0;
  // Gives the JSON object for <base>/_boxkeeper/<task id>/exit.json, which is completed by what
  // was stored (exit_record.h). Called on the pool, once. Null, or an empty text: none is written.
  std::function<std::string()> exit_record = {};
  // The log is not complete before Release, whatever else is stored: the task's outputs are still
  // on their way, and the exit record tells of them.
  bool held = false;
  // Becomes the log's last record in the `airflow` layout. Must be the same after a restart.
  EndNotePtr note = {};
  // Nobody attested the sizes: the store may have more than the spool, from before a power cut.
  bool unattested = false;
};

// For metrics and Admin.Status.
struct ShipperStatus {
  uint64_t stored_bytes =
      0;                   // spool bytes that reached the store since the start, confirmed or not
  uint64_t pieces = 0;     // stored whole: all but plain and metaflow where the store can append
  uint64_t completed = 0;  // logs
  uint64_t store_failures = 0;  // failed calls of the store
  uint64_t redacted = 0;        // occurrences overwritten in what was stored
  uint64_t tracked = 0;         // logs not complete yet
  uint64_t failing = 0;         // of these, those whose last attempt failed
  uint64_t backlog_bytes = 0;   // spooled and not stored, as of the last look at each
  uint64_t held = 0;            // tasks whose output waits for room in the spool, as of that look
  std::string last_error;       // of the store; empty once a call has succeeded again
};

struct ShipperOptions {
  std::chrono::milliseconds flush_interval{
      2'000};  // longest wait of a spooled byte while the task is young
  std::chrono::milliseconds flush_interval_max{30'000};  // grows to this
  uint64_t flush_bytes = 64 * 1024;  // flushes earlier when this much waits; grows to
  uint64_t flush_bytes_max = 1024 * 1024;
  int concurrency = 8;                           // tasks being shipped at one time
  std::chrono::milliseconds retry_initial{500};  // back-off when the store fails, with jitter
  std::chrono::milliseconds retry_max{60'000};
};

// Lives on the loop: one alarm for all tasks, coroutines only for those being shipped (at most
// `concurrency`), a few hundred bytes for each other one. Blocking reads run on the pool.
//
// Promise (I8): once OnComplete was called, every byte of the final sizes that the limit did not
// drop is durable in the store, once and in order; wherever the process dies before that, Track
// with the journal's records goes on from there. Order: `plain` on an appendable store writes bytes
// at their own offsets, so a repeat changes nothing, and confirms after Sync; pieces are cut, the
// cut is journalled, the piece stored, the confirmation journalled.
//
// Stop: `co_await Stop()` on the loop, then destroy. Destroying it without is allowed only after
// the loop has ended.
class LogShipper {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    ObjectStore& store;
    LogJournal& journal;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
    // On the loop, once per log, after the journal has its `complete` record. Never from within
    // Track or NoteEnd.
    std::function<void(base::TaskId)> on_complete;
    // On the loop: the journal refused a record. The shipper stops itself; the store of the daemon
    // is broken (exit 74).
    std::function<void(absl::Status)> on_journal_error;
  };
  LogShipper(Deps deps, ShipperOptions options);
  ~LogShipper();

  // Starts shipping. A task that is tracked already keeps its old job. A job whose `resume` has a
  // `complete` record calls on_complete again.
  void Track(ShipJob job);
  // The task is over and its output drained: ships the rest at once. Unknown tasks are ignored; the
  // first call counts.
  void NoteEnd(const base::TaskId& task, LogEnd end);
  // What its completion was held for has come. Unknown tasks are ignored.
  void Release(const base::TaskId& task);
  // Forgets the task; what is in flight for it ends without a callback.
  void Forget(const base::TaskId& task);

  // The spool as a whole needs room, or does not any more: jobs with `frees_stored` give back what
  // the store has of them.
  void SetSpoolPressed(bool pressed);

  // What the store has of a tracked task now.
  std::optional<StoredLog> Stored(const base::TaskId& task) const;
  ShipperStatus status() const;
  // Takes effect at each task's next flush (configuration reload).
  void SetOptions(ShipperOptions options);

  // Begins nothing new; OK when nothing is in flight, kDeadlineExceeded if a call of the store or
  // the journal still is at `deadline`.
  boost::asio::awaitable<absl::Status> Stop(base::BootTime deadline);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
