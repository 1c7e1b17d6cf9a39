// Many seeds at once, each worker a process of its own: a seed that crashes is a failed seed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/simulation.h"

namespace boxkeeper::sim {

struct RunOptions {
  uint64_t first_seed = 1;
  uint64_t seeds = 100;
  int jobs = 1;
  int twice_every = 0;         // each so-manieth seed runs again, its trace must be equal; 0 = none
  bool stop_at_first = false;  // the smallest failing seed is enough
  bool progress = false;       // to stderr
  std::string mutation;        // switched on; "" = none
  SimulationOptions simulation;  // of every seed
};

struct FailedSeed {
  std::string invariant;
  std::string what;
  int step = 0;
};

struct RunReport {
  uint64_t ran = 0;
  std::map<uint64_t, FailedSeed> failed;
  std::map<std::string, int64_t> sometimes;
  double seconds = 0;
};

// Forks `jobs` workers and waits for them.
RunReport RunSeeds(const RunOptions& options);

// One seed in a process of its own; the invariant is "crash" if that did not come back, "" if it
// passed.
FailedSeed RunApart(const SimulationOptions& options);

}  // namespace boxkeeper::sim
