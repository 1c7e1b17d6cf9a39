// Which piece of an `airflow` log has which bytes of its streams. Needed to read what was freed of
// the spool: a piece's records do not tell.
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// Bytes [from, to) of each stream (0 = stdout) lie in that piece. Always whole lines.
struct PieceRange {
  int64_t piece = 0;
  std::array<uint64_t, 2> from{};
  std::array<uint64_t, 2> to{};
};

// The file `pieces` beside the spool: for each piece where it ends in stdout and in stderr, u64
// little-endian; 16 bytes for some MiB of output. All are blocking; kNotFound: there is none.

// Notes where a piece ends, before the journal confirms it; a repeat is fine. Unless `create`, only
// in a map that is there already.
absl::Status NotePiece(base::FileSystem& files, const SpoolFiles& spool, int64_t piece,
                       std::array<uint64_t, 2> ends, bool create);
// Makes the map durable. kFailedPrecondition: it lacks some of the first `pieces`.
absl::Status SyncPieceMap(base::FileSystem& files, const SpoolFiles& spool, int64_t pieces);
// The piece that has that byte. kDataLoss: none has.
absl::StatusOr<PieceRange> FindPiece(base::FileSystem& files, const SpoolFiles& spool,
                                     Stream stream, uint64_t offset);

}  // namespace boxkeeper::logs
