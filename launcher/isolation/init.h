// `boxlaunch --init`: the first process of a sandbox. Drops what rights are left, puts the files
// there, runs the command, reaps, and tells the supervisor outside (init_link.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/account.h"

namespace boxkeeper::launcher {

// Descriptors that it inherits, and who the command runs as.
struct InitArguments {
  int spec = -1;                // the sealed launch spec
  int report = -1;              // write end of the pipe to the supervisor
  int output = -1;              // the command's stderr (bwrap's own complaints go elsewhere)
  int outputs = -1;             // where the task's outputs are sent at the end; -1 = it has none
  std::vector<int> blobs = {};  // of the spec's files, in their order
  Account account;
  std::string sandbox_id;
  uint64_t address_space = 0;  // of the command; see SpawnRequest
};

// The command line that ParseInit reads. Nothing secret is in it.
std::vector<std::string> InitCommandLine(const InitArguments& arguments);

// For a main() whose first argument is "--init". Never returns.
[[noreturn]] void RunInit(int argc, char** argv);

}  // namespace boxkeeper::launcher
