// Reads SQLite's write-ahead log before SQLite does, because SQLite takes damage for the end: it
// would silently drop every transaction behind a flipped bit.
//
// The WAL's layout (sqlite.org/fileformat2.html, section 4; all numbers big-endian):
//
//   header, 32 bytes:  magic 0x377f0682 (checksums of little-endian words) or ...83 (big-endian) |
//   version 3007000 |
//                      page size | checkpoint number | salt 1, 2 | checksum 1, 2 of the 24 bytes
//                      before
//   frame, 24 bytes + a page:  page number | pages of the database after the commit, 0 if not a
//   commit frame |
//                      salt 1, 2 as in the header | checksum 1, 2, cumulative over header, and of
//                      each frame the first 8 bytes and the page
//
// Our store adds: a generation starts in an empty, synced file (checkpoints truncate,
// sqlite_vfs.cc); the header is synced before the first frame; each transaction is synced before
// the next is written; what a failed transaction wrote is cut off and synced before the next;
// behind the frames the file may hold zeros (room for the next ones). So a crash can leave, behind
// the last valid commit, parts of one transaction and zeros, and nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace boxkeeper::store {

struct WalScan {
  uint64_t valid_bytes = 0;  // up to the end of the last valid commit frame; 0 = nothing committed
  uint64_t file_bytes = 0;
  uint64_t frames = 0;  // in valid_bytes
  uint64_t commits = 0;
  // Behind valid_bytes lies what a crash left of one transaction that was never acknowledged.
  bool torn = false;
  // Something lies there, if only zeros.
  bool has_tail() const { return file_bytes > valid_bytes; }
};

// An absent file is an empty one. kDataLoss if what lies behind the last valid commit cannot come
// from a crash: names the file, the frame, the offset and a command that gives up what is behind
// it.
absl::StatusOr<WalScan> ScanWal(base::FileSystem& fs, const std::string& wal_path);

}  // namespace boxkeeper::store
