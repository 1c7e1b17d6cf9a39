// The flags that `run` and `submit` share.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/spec.h"

namespace boxkeeper::cli {

// Adds them to `command`; parsing fills `flags`, which must live as long.
void AddSubmitOptions(CLI::App& command, SubmitFlags& flags);

// An option that may be given several times, each time with one value: `-e A=1 -e B=2 x` leaves x
// alone.
CLI::Option* AddRepeated(CLI::App& command, const std::string& names,
                         std::vector<std::string>& values, const std::string& help);

}  // namespace boxkeeper::cli
