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
  for (const char* path : {"kill -9",
                           "power cut",
                           "hand-over",
                           "submit DUPLICATE",
                           "submit ALREADY_LIVE",
                           "cancel CANCELLED",
                           "cancel STOPPING",
                           "end EXPIRED",
                           "end SANDBOX_LOST",
                           "end SIGNAL",
                           "end EXIT_CODE",
                           "end START_FAILED",
                           "silent start ended",
                           "end CANCELLED",
                           "end HOST_REBOOTED",
                           "reboot",
                           "disk full",
                           "outage",
                           "adopt LIVE",
                           "adopt TERMINAL",
                           "replay compared",
                           "wait told an end"}) {
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

// The invariants have teeth: a store that answers before it has written is found.
TEST(SimulationTest, AnAnswerBeforeTheSyncIsFound) {
  base::SetLogLevel(base::LogLevel::kOff);
  bool found = false;
  for (uint64_t seed = 1; seed <= 20 && !found; ++seed) {
    found = !RunSimulation({.seed = seed, .answer_before_sync = true}).failures.empty();
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace boxkeeper::sim
