#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "tests/sim/draws.h"
#include "tests/sim/runner.h"
#include "tests/sim/shrink.h"

namespace boxkeeper::sim {
namespace {

class SimulationTest : public ::testing::Test {
 protected:
  SimulationTest() { base::SetLogLevel(base::LogLevel::kOff); }
};

TEST_F(SimulationTest, TheSameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(RunSimulation({.seed = seed}).trace_hash, RunSimulation({.seed = seed}).trace_hash)
        << seed;
  }
}

TEST_F(SimulationTest, AnotherSeedGivesAnotherTrace) {
  EXPECT_NE(RunSimulation({.seed = 1}).trace_hash, RunSimulation({.seed = 2}).trace_hash);
}

TEST_F(SimulationTest, AFaultThatIsSwitchedOffDoesNotHappen) {
  FaultSet all;
  all.set();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const SimulationResult quiet = RunSimulation({.seed = seed, .without = all});
    EXPECT_TRUE(quiet.failures.empty()) << seed;
    EXPECT_TRUE(quiet.on.none());
    EXPECT_FALSE(quiet.sometimes.contains("kill -9"));
  }
}

TEST_F(SimulationTest, WhatAStepDrawsDoesNotDependOnOtherSteps) {
  EXPECT_EQ(Derive(7, "step", 3), Derive(7, "step", 3));
  EXPECT_NE(Derive(7, "step", 3), Derive(7, "step", 4));
  EXPECT_NE(Derive(7, "step", 3), Derive(8, "step", 3));
  EXPECT_NE(Derive(7, "step", 3), Derive(7, "other", 3));
}

// The invariants have teeth, and what they find is made small.
TEST_F(SimulationTest, ABugIsFoundAndShrunk) {
  RunOptions run;
  run.seeds = 200;
  run.stop_at_first = true;
  run.mutation = "answer_before_sync";
  const RunReport report = RunSeeds(run);
  ASSERT_FALSE(report.failed.empty());
  SimulationOptions failing;
  failing.seed = report.failed.begin()->first;
  const Shrunk shrunk = Shrink(failing, run.mutation);
  EXPECT_EQ(shrunk.invariant, report.failed.begin()->second.invariant);
  EXPECT_GT(shrunk.options.without.count(), 0U);
  EXPECT_NE(CommandOf(shrunk.options, run.mutation).find("--mutation answer_before_sync"),
            std::string::npos);
}

}  // namespace
}  // namespace boxkeeper::sim
