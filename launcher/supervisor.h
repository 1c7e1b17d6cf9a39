// The process that stands between the launcher and one command, and outlives the launcher.
#pragma once

#include <sys/resource.h>

#include <string>

#include "base/core/unique_fd.h"
#include "launcher/account.h"
#include "launcher/cgroup/layout.h"
#include "launcher/isolation/host.h"

namespace boxkeeper::launcher {

struct SupervisorArguments {
  std::string sandbox_id;
  std::string exec_id;
  std::string boot_id;
  std::string directory_path;  // absolute
  base::UniqueFd directory;    // of the sandbox, holding its flock: kept until this process ends
  base::UniqueFd memfd;        // the launch spec
  base::UniqueFd notices;      // the pipe to the launcher
  base::UniqueFd input;        // the command's stdin: /dev/null
  Account self;                // whom a command runs as that names no user
  rlimit open_files{};         // for the command
  bool reset_oom_score_adj = false;
  const IsolationHost* isolation = nullptr;  // outlives it
  CgroupLayout cgroups;                      // for limits
  std::string group_name;                    // of the control groups to make if there are any
};

// Runs the command of the launch spec to its end, writes the exit record, and ends the process.
// To be called in a fresh fork of the launcher, with all signals blocked.
[[noreturn]] void RunSupervisor(SupervisorArguments arguments);

}  // namespace boxkeeper::launcher
