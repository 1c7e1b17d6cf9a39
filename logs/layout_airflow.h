// The `airflow` layout: both streams rendered to JSON records, merged by arrival, cut into pieces.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/core/spool_format.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/end_note.h"
#include "logs/spool_files.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

// Renders records from a cursor on, a bounded amount at each Step. Pure: the same spool, index,
// secrets and cursor give the same bytes. Blocking: on the pool. Memory is bounded by some multiple
// of kMaxLine, however long the lines are.
//
// Airflow's reader takes each piece as a stream of its own and merges them by (timestamp in ms,
// line number in the piece), and it drops a record that equals its neighbour. Therefore:
// - a line is dated with the arrival of the read that completed it, or, closely after a record of
// the same stream that was JSON
//   already, with that record's timestamp (its own clock ran a little earlier than the arrival);
// - timestamps given by us never fall, and within a millisecond their microseconds count up, so
// that no two neighbours are equal;
// - a piece begins with a greater millisecond than any that the piece before gave, and is not cut
// between two existing records of
//   one millisecond unless it has grown past kMaxPiece;
// - while the task runs, what arrived within the last kSettleMs waits for the next piece.
// - the last record says why the task ended, if it did not succeed.
// A line is emitted when its newline (or the stream's end) is there, whole: longer ones than
// kMaxLine as several records of one timestamp, in one piece.
class AirflowRenderer {
 public:
  static constexpr size_t kMaxLine = 256 * 1024;
  static constexpr uint64_t kMaxPiece = 4 * 1024 * 1024;
  static constexpr int64_t kSettleMs = 100;

  struct Input {
    bool with_stdout = true;
    bool with_stderr = true;
    // Both set: the task has ended. The rest of the last lines is rendered and dropped bytes are
    // passed; before that rendering waits in front of a hole.
    std::optional<uint64_t> stdout_bytes = {};
    std::optional<uint64_t> stderr_bytes = {};
    EndNotePtr end_note = {};    // of the ended task
    int64_t accepted_at_ms = 0;  // dates what has no arrival at all
    int64_t now_ms = 0;          // while the task runs; 0: nothing waits to settle
    // The piece ends in front of the first record behind this many bytes ...
    uint64_t target_bytes = 1024 * 1024;
    // ... or, when one is repeated, at exactly this many.
    std::optional<uint64_t> exact_bytes = {};
  };
  // `reader` outlives the renderer.
  AirflowRenderer(SpoolReader& reader, store::v1::LogCursor cursor, Input input);

  // Appends the next records to `out`, at most about 2 MiB; false once there is nothing more to
  // render now or the piece is full. kDataLoss: the spool has less than the final sizes say.
  // kAborted: bytes of a line in progress were dropped just now, or bytes were freed.
  absl::StatusOr<bool> Step(std::string& out);

  // After Step said false: where the next piece begins.
  const store::v1::LogCursor& cursor() const { return cursor_; }
  uint64_t bytes() const { return bytes_; }
  bool piece_full() const { return full_; }
  // Occurrences of secret values in the windows that were read; a value at a border may count
  // twice.
  uint64_t redacted() const { return redacted_; }

 private:
  struct Record {  // what of one index record is still to be scanned: [scanned, to)
    Stream stream = Stream::kStdout;
    uint64_t to = 0;
    int64_t arrival_ms = 0;
    bool in_index = false;
  };
  struct LongLine {
    Stream stream = Stream::kStdout;
    uint64_t at = 0;
    uint64_t end = 0;
    int64_t time_us = 0;
    uint64_t part = 1;
    bool newline = false;
  };
  struct Window {
    uint64_t offset = 0;
    std::string data;
    bool Holds(uint64_t at) const { return at >= offset && at < offset + data.size(); }
  };

  bool ended() const { return input_.stdout_bytes && input_.stderr_bytes; }
  bool Wanted(Stream stream) const;
  uint64_t FinalSize(Stream stream) const;
  uint64_t Line(Stream stream) const;
  uint64_t Scanned(Stream stream) const;
  void SetLine(Stream stream, uint64_t offset);
  void SetScanned(Stream stream, uint64_t offset);

  absl::Status Begin();
  absl::StatusOr<bool> NextRecord();
  absl::StatusOr<bool> FillIndex();
  absl::StatusOr<bool> Tail(std::string& out);
  absl::StatusOr<bool> Note(std::string& out);
  absl::StatusOr<bool> Scan(std::string& out);
  absl::StatusOr<bool> ScanWindow(std::string& out);
  absl::StatusOr<bool> PassHole(std::string& out, const Hole& hole);
  void FinishRecord();
  // Emits the stream's line in progress up to `end`; false if the piece is full in front of it.
  absl::StatusOr<bool> EmitLine(std::string& out, Stream stream, uint64_t end, bool newline);
  absl::Status EmitPart(std::string& out);
  absl::StatusOr<std::string> ReadText(Stream stream, uint64_t from, uint64_t to);
  bool Full(std::optional<int64_t> existing_us) const;
  int64_t NextTime(Stream stream);
  // Greater than all before; `wish_us`, if it is that.
  int64_t TakeTime(int64_t wish_us);
  void NoteExisting(Stream stream, int64_t time_us);
  void Count(size_t before, const std::string& out) { bytes_ += out.size() - before; }

  SpoolReader& reader_;
  store::v1::LogCursor cursor_;
  Input input_;
  int64_t floor_ms_ = 0;
  bool begun_ = false;
  bool full_ = false;
  uint64_t bytes_ = 0;
  uint64_t redacted_ = 0;
  std::optional<Record> record_;
  std::optional<LongLine> long_line_;
  std::string index_;  // raw records from cursor_.index_records() on
  size_t index_at_ = 0;
  std::array<Window, 2> windows_;
};

// Reads a stream's text back out of the pieces: feed it record after record.
class AirflowTextReader {
 public:
  // `open`: the text so far lacks its last newline, as open() said.
  explicit AirflowTextReader(Stream stream, bool open = false) : stream_(stream), open_(open) {}
  // The text that `line` (a record, without its newline) adds to the stream: a newline first, where
  // it ends the line before. Records that existed before belong to stdout: their stream is not
  // stored.
  std::string Feed(std::string_view line);
  bool open() const { return open_; }

 private:
  Stream stream_;
  bool open_;
};

}  // namespace boxkeeper::logs
