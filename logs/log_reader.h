// Reads one stream of a task's log from any offset: from the spool while that is there, then from
// the store.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/log_chunk.h"
#include "logs/object_store.h"
#include "logs/redactor.h"
#include "logs/spool_files.h"
#include "logs/stored_log.h"

namespace boxkeeper::logs {

// What to read. Cheap to copy.
struct LogSource {
  SpoolFiles spool;
  bool spool_gone = false;  // removed after retention: read `stored`
  // Of this stream, once the task has ended and its output is drained.
  std::optional<uint64_t> final_size = {};
  std::shared_ptr<const Redactor> redactor = {};  // null: nothing to redact
  StoredLog stored;
};

// Called on the loop; files are read on the pool. Stateless but for a small cache of places in
// `airflow` logs, so one serves every caller. Nothing to stop: an awaitable that is cancelled or
// dropped leaves nothing behind.
//
//   uint64_t offset = 0;
//   for (;;) {
//     auto chunk = co_await reader.Read(source, Stream::kStdout, offset, LogReader::kMaxChunk);
//     if (!chunk.ok() || chunk->end) break;
//     if (chunk->next() == offset) co_await watcher.WaitForGrowth(...);
//     offset = chunk->next();
//   }
class LogReader {
 public:
  static constexpr size_t kMaxChunk = 256 * 1024;

  struct Deps {
    base::FileSystem& files;
    ObjectStore& store;
    boost::asio::any_io_executor pool;  // of a thread_pool; the loop's own in a simulator
  };
  explicit LogReader(Deps deps);
  ~LogReader();

  // What there is at `offset` now: up to `max_bytes` (at most kMaxChunk) bytes of data, or a hole.
  // Empty, without dropped bytes and not `end`: nothing yet. An offset behind the last byte gives
  // the same, or `end` when final_size is known. With a redactor bytes that may begin a secret
  // value are held back until more has come. In the `airflow` layout the store's copy is the
  // records' text, whose offsets may differ from the stream's once the spool is gone (what was
  // freed of a spool that is there has the stream's: freed_pieces.h). kNotFound: neither spool nor
  // store has the log.
  boost::asio::awaitable<absl::StatusOr<LogChunk>> Read(LogSource source, Stream stream,
                                                        uint64_t offset, size_t max_bytes);

  // Where the last `lines` lines of what there is now begin. What follows the last newline is a
  // line too. Memory is flat however long the lines are.
  boost::asio::awaitable<absl::StatusOr<uint64_t>> TailOffset(LogSource source, Stream stream,
                                                              uint64_t lines);

  // Length of the stream's spool file now; 0 if there is none.
  boost::asio::awaitable<absl::StatusOr<uint64_t>> SpooledBytes(SpoolFiles spool, Stream stream);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace boxkeeper::logs
