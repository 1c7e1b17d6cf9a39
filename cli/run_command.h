// `run`: a task in the foreground, as if its command ran here.
#pragma once

#include "absl/time/time.h"
#include "cli/session.h"
#include "cli/spec.h"

namespace boxkeeper::cli {

struct RunOptions {
  bool raw = false;  // bytes as they come, also on a terminal
  // The task is cancelled if boxctl has not been heard of for so long; renewed three times as
  // often.
  absl::Duration lease_ttl = absl::Seconds(60);
};

// Submits, copies both streams live, and answers the exit code of the command (cli/exit_code.h).
// Goes on where the daemon is restarted. Ctrl-C cancels and follows to the end; a second one kills
// at once; a third gives up waiting.
int Run(Session& session, const SubmitFlags& flags, const RunOptions& options);

}  // namespace boxkeeper::cli
