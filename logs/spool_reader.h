// Reads spool files: bytes from an offset, holes, redaction. Everything else in logs/ reads the
// spool through it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/redactor.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

struct SpoolSlice {
  std::string data = {};   // from the offset asked for; empty at the end, or in a hole
  bool in_hole = false;    // the offset asked for lies in `hole`
  bool freed = false;      // the offset asked for lies before `freed_to`
  uint64_t freed_to = 0;   // what is before it is to be read from the store
  Hole hole;               // of the stream; empty: nothing was dropped
  size_t redacted = 0;     // occurrences that touch `data`
  uint64_t file_size = 0;  // when it was read
};

// Blocking: used on the pool, by one thread at a time. Opens files for each call, so that it holds
// no descriptor between calls.
class SpoolReader {
 public:
  // `redactor` may be null.
  SpoolReader(base::FileSystem& files, SpoolFiles spool, std::shared_ptr<const Redactor> redactor);

  // Up to `max_bytes` at `offset`, not beyond a hole's begin, and never bytes of a hole or of what
  // was freed: whoever punches announces it first, so what was read is checked against the
  // announcement afterwards. `final_size`: of the ended stream (nothing behind it is given); while
  // it is not known, bytes that may begin a secret value are held back at the end of the file.
  absl::StatusOr<SpoolSlice> ReadAt(Stream stream, uint64_t offset, size_t max_bytes,
                                    std::optional<uint64_t> final_size);

  // Bytes of the stream's file; 0 if it is not there.
  absl::StatusOr<uint64_t> Size(Stream stream);
  // Empty if nothing was dropped. kDataLoss if the record is damaged.
  absl::StatusOr<Hole> ReadHole(Stream stream);
  // Bytes [0, x) were freed because the store has them (freed_spool.h); 0 if none were. kDataLoss
  // if the record is damaged.
  absl::StatusOr<uint64_t> ReadFreed(Stream stream);
  // Bytes of the index; 0 if it is not there.
  absl::StatusOr<uint64_t> IndexBytes();
  // Whole index records, raw, from record `first`; at most `max_records`.
  absl::StatusOr<std::string> ReadIndex(uint64_t first, size_t max_records);

  // Makes what the streams and the index hold durable, so that a cut made from it can be repeated
  // after a power loss.
  absl::Status Sync();

 private:
  struct Raw {
    std::string data;         // may reach into the hole
    bool short_read = false;  // the file ended
    uint64_t file_size = 0;
    Hole hole;              // of the stream, as it was after the read
    uint64_t freed_to = 0;  // so too
  };
  absl::StatusOr<uint64_t> SizeOf(const std::string& path);
  absl::StatusOr<Raw> ReadRaw(Stream stream, uint64_t offset, size_t max_bytes);

  base::FileSystem& files_;
  SpoolFiles spool_;
  std::shared_ptr<const Redactor> redactor_;
};

}  // namespace boxkeeper::logs
