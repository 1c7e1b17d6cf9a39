// What of an `airflow` log the store does not have yet, rendered as it will be stored.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/end_note.h"
#include "logs/layout_airflow.h"
#include "logs/log_chunk.h"
#include "logs/redactor.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// A piece that is journalled and not confirmed: it may be in the store.
struct PieceOnItsWay {
  std::string name;  // of the object
  uint64_t size = 0;
  store::v1::LogCursor after;  // where the next one begins
};

// Where the part begins of which the journal does not know that it is stored.
struct UnstoredPlace {
  bool complete = false;  // there is none: everything is stored
  store::v1::LogCursor cursor;
  uint64_t offset = 0;                 // bytes of the pieces before it
  std::optional<PieceOnItsWay> piece;  // that begins here

  // Behind `piece`, which the store has after all.
  void Skip();
};

// From the journal's records of that generation (ShipJob::resume). `path`: below the base URL.
UnstoredPlace FindUnstored(const std::string& path, int64_t generation,
                           const std::vector<store::v1::LogRecord>& records);

// What to render. Cheap to copy.
struct UnstoredSource {
  SpoolFiles spool;
  bool with_stdout = true;
  bool with_stderr = true;
  std::shared_ptr<const Redactor> redactor = {};  // null: nothing to redact
  int64_t accepted_at_ms = 0;                     // unix
};

// The final sizes, and why it ended, once the task has ended.
struct UnstoredEnd {
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
  EndNotePtr note = {};
};

// One reader's place. Called on the loop, one call at a time; rendering runs on the pool in flat
// memory. A call that is cancelled or dropped leaves nothing behind.
class UnstoredReader {
 public:
  UnstoredReader(base::FileSystem& files, boost::asio::any_io_executor pool, UnstoredSource source,
                 UnstoredPlace place);
  ~UnstoredReader();

  // The next records, whole, 32 KiB to about 2 MiB where there is that much; their offsets are in
  // the rendering. Empty and not `end`: there is nothing more now. `ended`: of the task; once it
  // was given it stays. While the task runs everything is given that is finished, also what waits
  // to settle before it is cut, up to the place where bytes were dropped.
  // kDataLoss, kAborted: what comes next is not in the spool any more; FindUnstored says whether
  // the store has it.
  boost::asio::awaitable<absl::StatusOr<LogChunk>> Next(std::optional<UnstoredEnd> ended);

  uint64_t offset() const { return offset_; }
  // Length of the index at the begin of the last call: what came since makes it longer.
  uint64_t indexed_bytes() const { return indexed_bytes_; }

 private:
  struct Rendering;

  // Goes on at `cursor`: with the piece on its way, if there is one, else with all that follows.
  void Begin(const store::v1::LogCursor& cursor);
  absl::Status EndPiece();

  base::FileSystem& files_;
  const boost::asio::any_io_executor pool_;
  const UnstoredSource source_;
  UnstoredPlace place_;
  std::optional<UnstoredEnd> ended_;
  uint64_t offset_ = 0;
  uint64_t indexed_bytes_ = 0;
  std::shared_ptr<Rendering> rendering_;
};

}  // namespace boxkeeper::logs
