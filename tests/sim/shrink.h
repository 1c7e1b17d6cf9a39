// A failing seed, made small: the fewest kinds of faults and the fewest steps with which it still
// fails.
#pragma once

#include <string>

#include "tests/sim/simulation.h"

namespace boxkeeper::sim {

struct Shrunk {
  SimulationOptions options;
  std::string invariant;  // "" = it does not fail
  std::string what;
  int runs = 0;
};

// Prints what it does to stderr. `mutation` is switched on in every run.
Shrunk Shrink(const SimulationOptions& options, const std::string& mutation);

// The command that runs exactly this.
std::string CommandOf(const SimulationOptions& options, const std::string& mutation);

}  // namespace boxkeeper::sim
