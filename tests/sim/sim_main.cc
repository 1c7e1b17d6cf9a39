// tools/sim: runs seeds and counts what failed. usage: sim [--first_seed S] [--seeds N] [--steps N]
// [--twice] [--trace] [--answer_before_sync]. --twice: each seed again, the trace must be equal;
// --answer_before_sync: a mutation, which must be found.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <string>

#include "base/log.h"
#include "tests/sim/simulation.h"

int main(int argc, char** argv) {
  uint64_t first = 1;
  uint64_t count = 100;
  bool twice = false;
  boxkeeper::sim::SimulationOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--answer_before_sync") {
      options.answer_before_sync = true;
      continue;
    }
    if (flag == "--twice") {
      twice = true;
      continue;
    }
    if (flag == "--trace") {
      options.trace = true;
      continue;
    }
    if (i + 1 >= argc) {
      std::cerr << "usage: sim [--first_seed S] [--seeds N] [--steps N] [--twice] [--trace]"
                   " [--answer_before_sync]\n";
      return 2;
    }
    const uint64_t value = std::strtoull(argv[++i], nullptr, 10);
    if (flag == "--first_seed") first = value;
    if (flag == "--seeds") count = value;
    if (flag == "--steps") options.steps = static_cast<int>(value);
  }
  boxkeeper::base::SetLogLevel(boxkeeper::base::LogLevel::kOff);
  std::map<std::string, int> sometimes;
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    options.seed = seed;
    const auto once = boxkeeper::sim::RunSimulation(options);
    for (const auto& [name, hits] : once.sometimes) sometimes[name] += hits;
    for (const std::string& failure : once.failures) std::cerr << failure << "\n";
    if (twice && boxkeeper::sim::RunSimulation(options).trace_hash != once.trace_hash) {
      std::cerr << "seed " << seed << ": another trace the second time\n";
      ++failed;
    }
    failed += once.failures.empty() ? 0 : 1;
  }
  for (const auto& [name, hits] : sometimes) std::cout << name << ": " << hits << "\n";
  std::cout << count - failed << " passed, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
