#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace boxkeeper::sim {
namespace {

constexpr uint64_t kSeeds = 100;

TEST(SimulationTest, EverySeedKeepsTheInvariants) {
  base::SetLogLevel(base::LogLevel::kOff);
  std::map<std::string, int> sometimes;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const SimulationResult result = RunSimulation({.seed = seed});
    for (const std::string& failure : result.failures) ADD_FAILURE() << failure;
    for (const auto& [name, hits] : result.sometimes) sometimes[name] += hits;
  }
  // The rare paths were really reached.
  for (const char* path :
       {"kill -9", "power cut", "hand-over", "submit DUPLICATE", "submit ALREADY_LIVE",
        "cancel CANCELLED", "cancel STOPPING", "end EXPIRED", "end SANDBOX_LOST", "end SIGNAL",
        "end EXIT_CODE", "end START_FAILED", "end CANCELLED"}) {
    EXPECT_GT(sometimes[path], 0) << path;
  }
}

TEST(SimulationTest, TheSameSeedGivesTheSameTrace) {
  base::SetLogLevel(base::LogLevel::kOff);
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(RunSimulation({.seed = seed}).trace_hash, RunSimulation({.seed = seed}).trace_hash)
        << seed;
  }
}

}  // namespace
}  // namespace boxkeeper::sim
