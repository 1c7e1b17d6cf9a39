// A file that is only there to be removed when the disk is full, so that live tasks can still reach
// their end.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/file_system.h"

namespace boxkeeper::store {

// Blocking, on one thread at a time. `fs` outlives it.
class Ballast {
 public:
  // `path` holds `bytes` of disk space while it exists.
  Ballast(base::FileSystem& fs, std::string path, uint64_t bytes);

  // Looks whether a whole ballast is there, and makes it if there is space for it twice. Not being
  // able to is no error: held() says so.
  void Refill();
  // Gives the space back. False if there is none to give.
  bool Release();
  bool held() const { return held_; }

 private:
  absl::Status Make();

  base::FileSystem& fs_;
  const std::string path_;
  const uint64_t bytes_;
  bool held_ = false;
};

}  // namespace boxkeeper::store
