// The folders that tasks' output is spooled in: handed out when a task starts, recycled when it is
// forgotten.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace boxkeeper::logs {

// Recycled rather than removed and made anew, files and all: ext4 searches past every inode that
// was freed in the last minutes to make one, which cost 1.5 ms a folder where tasks came and went
// all day (docs/performance.md). What is not handed out again is emptied, so spares hold no data.
//
// Thread-safe. Blocking: call it on the pool. One object per spool directory.
class SpoolFolders {
 public:
  // `directory` is absolute; made when it is first needed.
  explicit SpoolFolders(std::string directory);

  // Gives a recycled folder that name, empty, mode 0700; one of that name stays as it is. Where
  // there is none to recycle nothing is made: whoever writes the first byte makes it. An error: no
  // folder could be made here.
  absl::Status Provide(const std::string& name);
  // Provide would find nothing to hand out and need not be called. Does not block.
  bool HasNone() const;
  // Its content is gone when this returns; what cannot be removed is logged. An absent folder is
  // fine.
  void Drop(const std::string& name);

  const std::string& directory() const { return directory_; }

 private:
  std::string TakeSpare();
  absl::Status LoadSparesOnce();
  std::string SpareFolder() const;

  const std::string directory_;
  mutable std::mutex mutex_;
  bool loaded_ = false;
  std::vector<std::string> spares_;  // paths
};

}  // namespace boxkeeper::logs
