// The launcher's own log: <state_dir>/launch/launcher.log.
#pragma once

#include <string_view>

#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {

// Appends lines "<RFC 3339 time> <event> <key=value ...>" to a file that is cut when a launcher
// starts and finds it above 1 MiB. Never a secret: the launcher reads no launch spec.
class Journal {
 public:
  // `directory` is the launch directory. Without a file (disk full) lines are dropped.
  void Open(int directory);
  void Line(std::string_view event, std::string_view fields = {});

 private:
  base::UniqueFd fd_;
};

}  // namespace boxkeeper::launcher
