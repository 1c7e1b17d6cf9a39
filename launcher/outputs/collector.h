// Finds a task's outputs and reads them. Runs after the command with the rights of its user, where
// it sees what the command saw: in the sandbox's init, or in a process of its own on the host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boxkeeper::launcher {

struct CollectRequest {
  // See base::CheckOutputPattern. Relative ones count from `workdir`.
  std::vector<std::string> patterns;
  int workdir = -1;
  // Nothing but what lies in `workdir`, on its own file system, is looked at, and no symbolic link
  // on the way there is followed: for a collector that sees the host. Absolute patterns below
  // `workdir_name` count as relative ones, others are skipped.
  bool beneath_workdir = false;
  std::string workdir_name;
  uint64_t files_max = 0;
  uint64_t bytes_max = 0;
  uint64_t deadline_boot_ns = 0;
};

// Writes the stream of launcher/outputs/output_stream.h to `out`, up to and with kDone. Only
// regular files are read, each at most to the size it had when it was opened; symbolic links below
// the fixed part of an absolute pattern are never followed. False: nobody reads `out` any more.
bool CollectOutputs(const CollectRequest& request, int out);

}  // namespace boxkeeper::launcher
