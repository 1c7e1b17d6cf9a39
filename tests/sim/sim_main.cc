// tools/sim: runs seeds and counts what failed; shrinks a failing one; checks that every mutation
// is found.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "tests/sim/mutations.h"
#include "tests/sim/rare_paths.h"
#include "tests/sim/runner.h"
#include "tests/sim/shrink.h"

namespace boxkeeper::sim {
namespace {

constexpr char kUsage[] =
    "usage: sim [--first_seed S] [--seeds N] [--jobs N] [--steps N] [--twice | --twice_every N]\n"
    "           [--without FAULT,...] [--leave_out STEP,...] [--trace] [--mutation NAME]\n"
    "       sim --shrink S [--mutation NAME]    makes a failing seed small\n"
    "       sim --mutations [--seeds N]         every mutation must be found within N seeds\n"
    "       sim --list                          names of faults, mutations and rare paths\n";
constexpr uint64_t kMutationSeeds = 10'000;
// From so many seeds on, every rare path must have been reached.
constexpr uint64_t kSeedsForRarePaths = 2'000;

struct Flags {
  RunOptions run;
  bool shrink = false;
  bool mutations = false;
  bool list = false;
  bool seeds_given = false;
};

bool ParseFaults(const std::string& text, FaultSet& without) {
  const std::vector<std::string> names = absl::StrSplit(text, ',', absl::SkipEmpty());
  for (const std::string& name : names) {
    const auto fault = FaultByName(name);
    if (!fault.has_value()) return false;
    without.set(static_cast<size_t>(*fault));
  }
  return true;
}

bool ParseSteps(const std::string& text, std::set<int>& steps) {
  const std::vector<std::string> words = absl::StrSplit(text, ',', absl::SkipEmpty());
  for (const std::string& word : words) {
    int step = 0;
    if (!absl::SimpleAtoi(word, &step)) return false;
    steps.insert(step);
  }
  return true;
}

bool ParseSwitch(const std::string& flag, Flags& flags) {
  if (flag == "--twice") return flags.run.twice_every = 1, true;
  if (flag == "--trace") return flags.run.simulation.trace = true;
  if (flag == "--mutations") return flags.mutations = true;
  if (flag == "--list") return flags.list = true;
  return false;
}

bool ParseValue(const std::string& flag, const std::string& value, Flags& flags) {
  RunOptions& run = flags.run;
  if (flag == "--mutation") return run.mutation = value, true;
  if (flag == "--without") return ParseFaults(value, run.simulation.without);
  if (flag == "--leave_out") return ParseSteps(value, run.simulation.left_out);
  uint64_t number = 0;
  if (!absl::SimpleAtoi(value, &number)) return false;
  if (flag == "--first_seed") return run.first_seed = number, true;
  if (flag == "--seeds") return run.seeds = number, flags.seeds_given = true;
  if (flag == "--jobs") return run.jobs = static_cast<int>(number), number > 0;
  if (flag == "--steps") return run.simulation.steps = static_cast<int>(number), true;
  if (flag == "--twice_every") return run.twice_every = static_cast<int>(number), true;
  if (flag == "--shrink") return run.first_seed = number, flags.shrink = true;
  return false;
}

bool Parse(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    if (ParseSwitch(argv[i], flags)) continue;
    if (i + 1 >= argc || !ParseValue(argv[i], argv[i + 1], flags)) return false;
    ++i;
  }
  return true;
}

int RunAll(const Flags& flags) {
  const RunReport report = RunSeeds(flags.run);
  for (const auto& [seed, failed] : report.failed) {
    SimulationOptions repeat = flags.run.simulation;
    repeat.seed = seed;
    std::cout << "seed " << seed << ", step " << failed.step << ": " << failed.invariant << ": "
              << failed.what << "\n  " << CommandOf(repeat, flags.run.mutation) << "\n";
  }
  size_t never = 0;
  if (report.ran >= kSeedsForRarePaths && flags.run.mutation.empty()) {
    for (const std::string& path : RarePathsMissed(report.sometimes)) {
      std::cout << "never reached: " << path << "\n";
      ++never;
    }
  }
  if (flags.run.seeds > 1) {
    for (const auto& [name, hits] : report.sometimes) std::cout << name << ": " << hits << "\n";
  }
  std::cout << report.ran - report.failed.size() << " passed, " << report.failed.size()
            << " failed, " << never << " rare paths never reached, "
            << static_cast<int64_t>(report.seconds) << " s\n";
  return report.failed.empty() && never == 0 ? 0 : 1;
}

int CheckMutations(Flags flags) {
  if (!flags.seeds_given) flags.run.seeds = kMutationSeeds;
  flags.run.stop_at_first = true;
  flags.run.twice_every = 0;
  flags.run.progress = false;
  int found_all = 0;
  int missed = 0;
  std::cout << "| mutation | the bug | found by | after seeds |\n|---|---|---|---|\n";
  for (const Mutation& mutation : Mutations()) {
    if (!flags.run.mutation.empty() && flags.run.mutation != mutation.name) continue;
    RunOptions run = flags.run;
    run.mutation = mutation.name;
    const RunReport report = RunSeeds(run);
    const bool found = !report.failed.empty();
    ++(found ? found_all : missed);
    std::cout << "| `" << mutation.name << "` | " << mutation.what << " | ";
    if (found) {
      const auto& [seed, failed] = *report.failed.begin();
      std::cout << failed.invariant << " | " << seed - run.first_seed + 1 << " |" << std::endl;
    } else {
      std::cout << "**nothing** | " << report.ran << " |" << std::endl;
    }
  }
  std::cout << found_all << " mutations found, " << missed << " not found\n";
  return missed == 0 ? 0 : 1;
}

int ShrinkOne(const Flags& flags) {
  SimulationOptions options = flags.run.simulation;
  options.seed = flags.run.first_seed;
  const Shrunk shrunk = Shrink(options, flags.run.mutation);
  if (shrunk.invariant.empty()) {
    std::cout << "seed " << options.seed << " does not fail\n";
    return 0;
  }
  std::cout << shrunk.invariant << ": " << shrunk.what << "\nafter " << shrunk.runs << " runs:\n"
            << CommandOf(shrunk.options, flags.run.mutation) << "\n";
  return 1;
}

int List() {
  for (size_t i = 0; i < FaultSet().size(); ++i) {
    std::cout << "fault " << FaultName(static_cast<Fault>(i)) << "\n";
  }
  for (const Mutation& mutation : Mutations()) {
    std::cout << "mutation " << mutation.name << ": " << mutation.what << "\n";
  }
  for (const std::string& path : RarePathsMissed({})) std::cout << "rare path " << path << "\n";
  return 0;
}

int Main(int argc, char** argv) {
  Flags flags;
  flags.run.jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  flags.run.progress = isatty(2) != 0;
  if (!Parse(argc, argv, flags)) {
    std::cerr << kUsage;
    return 2;
  }
  base::SetLogLevel(base::LogLevel::kOff);
  if (flags.list) return List();
  if (flags.mutations) return CheckMutations(flags);
  if (flags.shrink) return ShrinkOne(flags);
  return RunAll(flags);
}

}  // namespace
}  // namespace boxkeeper::sim

int main(int argc, char** argv) { return boxkeeper::sim::Main(argc, argv); }
