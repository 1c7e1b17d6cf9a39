// The real core on one thread: virtual time, a disk that crashes, clouds that fail, client actors.
// Everything from one seed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/plan.h"
#include "tests/sim/trace.h"

namespace boxkeeper::sim {

struct SimulationOptions {
  uint64_t seed = 1;
  int steps = 0;             // client actions and faults before the quiet end; 0 = as drawn
  FaultSet without{};        // kinds of faults that are switched off
  std::set<int> left_out{};  // steps that do nothing
  bool trace = false;        // print what happens
};

struct SimulationResult {
  // Broken invariants, in the words of docs/reliability.md; empty = the run passed.
  std::vector<Failure> failures;
  // Equal for two runs of one seed.
  uint64_t trace_hash = 0;
  // How often each rare path was reached.
  std::map<std::string, int> sometimes;
  int steps = 0;
  FaultSet on;
};

SimulationResult RunSimulation(const SimulationOptions& options);

}  // namespace boxkeeper::sim
