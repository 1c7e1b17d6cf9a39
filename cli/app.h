// boxctl's command line: flags, commands, help.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace boxkeeper::cli {

// Runs one invocation, `args` without the program's name. The result is the exit code
// (cli/exit_code.h). Never throws.
int RunBoxctl(const std::vector<std::string>& args, const Console& console);

}  // namespace boxkeeper::cli
