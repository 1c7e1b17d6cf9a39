// What the shipper remembers of one log that is not complete yet.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/log_shipper.h"
#include "logs/resumable_sha256.h"

namespace boxkeeper::logs {

// Of what the store has; nullopt: not known (the journal was written by an older version).
using StoredHash = std::optional<ResumableSha256>;
StoredHash EmptyHash();

// A piece that is journalled and not confirmed.
struct PendingCut {
  store::v1::LogRecord record;
  std::shared_ptr<const std::string> bytes;  // if they are few
};

// plain and metaflow layout, one stream.
struct PlainProgress {
  uint64_t position = 0;  // stream bytes given to the store
  // The stored object was cut or removed by somebody: what was freed is lost.
  bool anew = false;
  uint64_t confirmed = 0;  // of these, durable and journalled; equal where the store cannot append
  Hole gap;                // journalled; what is before it is confirmed
  StoredHash hash = EmptyHash();            // up to `position`
  StoredHash confirmed_hash = EmptyHash();  // up to `confirmed`
  // Where the store cannot append:
  int64_t pieces = 0;  // confirmed ones
  std::unique_ptr<PendingCut> cut;

  // Goes back to `offset`, where `at_offset` is the hash; a cut is forgotten.
  void GoTo(uint64_t offset, StoredHash at_offset);
};

// airflow layout.
struct AirflowProgress {
  store::v1::LogCursor cursor;    // where the next piece begins
  int64_t piece = 0;              // its number
  uint64_t rendered = 0;          // bytes of the pieces before it
  StoredHash hash = EmptyHash();  // of these
  std::unique_ptr<PendingCut> cut;
};

struct TrackedLog {
  explicit TrackedLog(ShipJob job);

  ShipJob job;  // `resume` is used up
  std::optional<LogEnd> end;
  bool forgotten = false;

  std::array<PlainProgress, 2> plain;
  std::unique_ptr<AirflowProgress> airflow;  // null with the plain layout: it is large
  // Its spool (ship_room.h):
  std::array<uint64_t, 2> freed{};  // from the begin of each stream on, as of the last look
  bool waiting = false;             // its supervisor does not read: there is no room
  bool needs_room = false;          // it waits, or will soon
  // > 0: what is stored is to be freed once it is so much.
  uint64_t room_step = 0;
  // What was announced as freed may not have been punched, if a daemon died in between.
  std::array<bool, 2> punched{};
  bool has_freed = false;    // in this visit
  bool cannot_free = false;  // the file system cannot
  // In a row: looks at the ended log that found less in the spool than it should have.
  int short_looks = 0;
  std::string lost;  // what was given up for that reason, for people
  bool exit_record_stored = false;
  bool spool_redacted = false;

  // When to look at it next.
  base::BootTime due;
  bool in_timetable = false;
  bool running = false;
  bool look_again = false;  // NoteEnd came while it was running
  base::BootTime last_flush;
  std::chrono::milliseconds flush_interval{0};
  uint64_t flush_bytes = 0;
  std::chrono::milliseconds poll_interval{0};
  int failures = 0;      // in a row
  uint64_t backlog = 0;  // as of the last look

  std::optional<uint64_t> FinalSize(Stream stream) const {
    if (!end) return std::nullopt;
    return stream == Stream::kStdout ? end->stdout_bytes : end->stderr_bytes;
  }
  PlainProgress& plain_of(Stream stream) { return plain[static_cast<size_t>(stream)]; }
  const PlainProgress& plain_of(Stream stream) const { return plain[static_cast<size_t>(stream)]; }
  bool Wants(Stream stream) const;
  // So much of the stream has been stored since it was freed that it is worth confirming and
  // freeing.
  bool RoomIsDue(Stream stream) const {
    if (room_step == 0 || cannot_free) return false;
    const auto i = static_cast<size_t>(stream);
    return (freed[i] > 0 && !punched[i]) || Stored(stream) >= freed[i] + room_step;
  }
  // The store has been given these bytes of the stream, counted from its begin, ...
  uint64_t Stored(Stream stream) const;
  // ... and has these durably, which the journal knows.
  uint64_t Confirmed(Stream stream) const;
  // Spool bytes of the stream that have gone to the store, or been looked at.
  uint64_t Shipped(Stream stream) const;
  // Of these, the ones that have gone.
  uint64_t Rendered(Stream stream) const;
};

// Takes up what the journal says; true if the log is complete already.
bool Resume(TrackedLog& log);

}  // namespace boxkeeper::logs
