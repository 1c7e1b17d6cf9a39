// Keeps the spool directory below spool.max_bytes: what is stored goes first, oldest first; when
// nothing can go, those who write are told to hold back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "logs/spool_folders.h"

namespace boxkeeper::logs {

// What one look found and did.
struct SpoolUsage {
  uint64_t bytes = 0;    // on the disk, after what was dropped
  uint64_t dropped = 0;  // folders, because their logs are stored
  bool full = false;     // base::kSpoolFullName stands: supervisors stop reading or drop
  bool pressed = false;  // it is, or nearly: what running tasks can give back they should
};

// Blocking: call it on the pool, one call at a time (MarkStored: any time).
class SpoolBound {
 public:
  explicit SpoolBound(std::shared_ptr<SpoolFolders> folders);

  // The store has every byte of that task's log, and its outputs: its spool may go when space is
  // short. Noted at its index file, which loses the right to be written (a silent task with outputs
  // gets an empty one), so a later process knows too. A mark that a power loss takes away only
  // keeps the spool longer.
  void MarkStored(const std::string& name);

  // Measures, and drops stored spools while there are more than `max_bytes`, down to 95 % of it.
  // Then tells supervisors, by the file kSpoolFullName, whether there is room: from `max_bytes` on
  // there is none, below 95 % there is again.
  absl::StatusOr<SpoolUsage> Enforce(uint64_t max_bytes);

 private:
  const std::shared_ptr<SpoolFolders> folders_;
};

}  // namespace boxkeeper::logs
