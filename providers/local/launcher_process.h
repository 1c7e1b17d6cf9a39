// Finding and starting boxlaunch.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"

namespace boxkeeper::providers::local {

// The program to start: `flag` (--launcher) if given, else the build tree's, the one beside the
// running program, or the first on PATH. kNotFound names every place that was looked at.
absl::StatusOr<std::string> FindLauncher(const std::string& flag);

// Starts boxlaunch: a session of its own, no inherited descriptors, signals at their defaults, and
// an environment of PATH, HOME, LANG and TZ only, so that no secret of the daemon's environment is
// in it. Its complaints go to <state_dir>/launch/boxlaunch.log. It outlives us. Single-threaded;
// blocks for about a millisecond.
class LauncherProcess {
 public:
  LauncherProcess(base::Clock& clock, std::string program, std::string state_dir);

  // Starts one unless the last one may still come up. An error when it cannot be started, or when
  // the last ones ended at once without anybody answering in between.
  absl::Status Start();
  // Somebody answered: what ended before is forgotten.
  void Succeeded();

 private:
  void Reap();

  base::Clock& clock_;
  const std::string program_;
  const std::string state_dir_;
  pid_t child_ = 0;             // the last one started; 0 = none, or reaped
  std::vector<pid_t> earlier_;  // not reaped yet
  base::BootTime started_;
  int ended_in_a_row_ = 0;
  int last_status_ = 0;  // of the last that ended, as waitpid gives it
};

}  // namespace boxkeeper::providers::local
