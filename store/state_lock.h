// One daemon per state directory.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace boxkeeper::store {

// Holds `<state_dir>/lock`, which names the holder's pid, until destroyed or the process ends. Take
// it before anything else in the state directory is touched. The file stays: removing it would let
// two holders in.
class StateLock {
 public:
  // Makes the directory (0700) if it is missing. kFailedPrecondition, naming the holder's pid if
  // known, if another process has it.
  static absl::StatusOr<std::unique_ptr<StateLock>> Acquire(base::FileSystem& fs,
                                                            const std::string& state_dir);

 private:
  explicit StateLock(std::unique_ptr<base::File> file) : file_(std::move(file)) {}

  std::unique_ptr<base::File> file_;
};

}  // namespace boxkeeper::store
