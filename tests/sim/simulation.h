// The real core on one thread: virtual time, a disk that crashes, a fake cloud that fails, client
// actors. Everything from one seed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace boxkeeper::sim {

struct SimulationOptions {
  uint64_t seed = 1;
  int steps = 120;     // client actions and faults before the quiet end
  bool trace = false;  // print what happens
  // Mutation: the store answers before it has written. The invariants must notice.
  bool answer_before_sync = false;
};

struct SimulationResult {
  // Broken invariants, in the words of docs/reliability.md; empty = the run passed.
  std::vector<std::string> failures;
  // Equal for two runs of one seed.
  uint64_t trace_hash = 0;
  // How often each rare path was reached.
  std::map<std::string, int> sometimes;
};

SimulationResult RunSimulation(const SimulationOptions& options);

}  // namespace boxkeeper::sim
