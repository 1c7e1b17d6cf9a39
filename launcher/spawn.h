// Starts a command in a process of its own.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/account.h"

namespace boxkeeper::launcher {

struct SpawnRequest {
  std::vector<std::string> candidates;  // paths to try in order; see ProgramCandidates
  const std::vector<std::string>* argv = nullptr;
  const std::vector<std::string>* environment = nullptr;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int workdir = -1;
  Account account;
  bool forbid_core = false;        // its memory holds secrets
  rlimit open_files{};             // the limit to give it
  uint64_t address_space = 0;      // likewise RLIMIT_AS; 0 = leave it
  std::vector<int> inherited;      // descriptors that it keeps, under their numbers
  std::vector<int> group_entries;  // cgroup.procs of the control groups to run in
  int oom_score_adj = 0;           // to write if `set_oom_score_adj`
  bool set_oom_score_adj = false;
};

struct SpawnResult {
  pid_t pid = -1;
  base::UniqueFd pidfd;
  int error = 0;      // 0 = exec has succeeded: the attested start
  std::string stage;  // what failed: "fork", "cgroup", "workdir", "user", "exec '<path>'"
};

// Returns when exec has succeeded or failed; a failed child is reaped already. The process has: its
// own session and group, only descriptors 0 to 2 and
// the inherited ones, no blocked signal, umask 022, the account's ids
// and groups, and dies with its parent (PR_SET_PDEATHSIG). The calling process must have one
// thread, all signals blocked, and every disposition the default, which the command inherits.
SpawnResult Spawn(const SpawnRequest& request);

}  // namespace boxkeeper::launcher
