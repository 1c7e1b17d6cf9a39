// What a power cut took from the end of an ended task's spool.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/spool_files.h"
#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// Of stdout and stderr, how far the spool reaches, a dropped middle counted as there. Blocking.
absl::StatusOr<std::array<uint64_t, 2>> SpooledLengths(base::FileSystem& files,
                                                       const SpoolFiles& spool);

// True if the spool, which reaches so far, lacks bytes of the ended `log` that are not stored yet.
bool LacksTail(const TrackedLog& log, const std::array<uint64_t, 2>& lengths);

// Nobody will bring them: the streams end where the spool does, or the store where that has more.
// What is missing is noted in `log.lost`.
void GiveUpTail(TrackedLog& log, const std::array<uint64_t, 2>& lengths);

}  // namespace boxkeeper::logs
