// What boxctl's exit codes say. Scripts rely on them; docs/cli.md lists them.
#pragma once

#include <string>

#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::cli {

constexpr int kExitOk = 0;
constexpr int kExitSomeFailed = 1;  // `wait`, `cancel`, `doctor`: the answer is no
constexpr int kExitUsage = 2;
constexpr int kExitTimeout = 124;  // the run's timeout; `wait`'s own
constexpr int kExitOurs =
    125;  // everything of ours: unreachable, rejected, never started, lost, cancelled
constexpr int kExitInterrupted = 130;  // `run`: given up by a third Ctrl-C

bool IsTerminal(v1::TaskState state);

// The exit code of `run` for an ended task: the command's own, 128 + signal, 137 for OOM, 124 for
// the run's timeout, else 125. A code above 255 (no process of ours has one) is cut to its low
// byte, but never to 0.
int ExitCodeOf(const v1::Task& task);

// "FAILED/RUN_TIMEOUT: ran longer than 2s"; "RUNNING" while it lives.
std::string EndLine(const v1::Task& task);

}  // namespace boxkeeper::cli
