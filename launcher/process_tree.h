// Signals to whole process trees, without ever hitting a stranger.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

namespace boxkeeper::launcher {

// Sends `signal` to all living descendants of the calling process, except to `spared` children and
// what is below them. A process gets it through a pidfd, after its parent was found to be in the
// tree still, so a reused pid is not hit. Stopped ones are continued when `signal` is not SIGKILL.
// One pass: a process forked meanwhile may be missed. Returns how many were reached.
int SignalDescendants(int signal, const std::set<pid_t>& spared = {});

// Stops, pass by pass until no new process turns up (which ends a fork bomb), then kills. Returns
// how many were hit. What is proved only by reaping: waitpid's ECHILD, or no child but the spared
// ones, ends the caller's loop.
int KillDescendants(const std::set<pid_t>& spared = {});

// Both for the descendants of `root`, a process that the caller holds a pidfd of, or has not
// reaped.
int SignalDescendantsOf(pid_t root, int signal);
int KillDescendantsOf(pid_t root);

// Kills every process that was started with BOXKEEPER_SANDBOX=`sandbox_id` in its environment, and
// the descendants of those. Finds only what is readable and kept its environment: the best that can
// be done for a tree whose supervisor and launcher have both died. Returns how many were hit.
int KillMarked(const std::string& sandbox_id);

// The environment variable that marks a sandbox's processes.
inline constexpr char kSandboxVariable[] = "BOXKEEPER_SANDBOX";

}  // namespace boxkeeper::launcher
