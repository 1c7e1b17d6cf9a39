#include "tests/sim/shrink.h"

#include <algorithm>
#include <iostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/sim/runner.h"

namespace boxkeeper::sim {
namespace {

class Shrinker {
 public:
  Shrinker(const SimulationOptions& options, const std::string& mutation) : mutation_(mutation) {
    out_.options = options;
    out_.options.trace = false;
  }

  Shrunk Run() {
    const FailedSeed first = Try(out_.options);
    out_.invariant = first.invariant;
    out_.what = first.what;
    if (first.invariant.empty()) return out_;
    if (first.step > 0) CutAfter(first.step);
    DropFaults();
    DropSteps();
    DropFaults();
    return out_;
  }

 private:
  FailedSeed Try(const SimulationOptions& options) {
    ++out_.runs;
    RunOptions run;
    run.first_seed = options.seed;
    run.seeds = 1;
    run.mutation = mutation_;
    run.simulation = options;
    const RunReport report = RunSeeds(run);
    return report.failed.empty() ? FailedSeed{} : report.failed.begin()->second;
  }

  // Kept if it breaks the same invariant.
  bool Accept(const SimulationOptions& options) {
    const FailedSeed failed = Try(options);
    if (failed.invariant != out_.invariant) return false;
    out_.options = options;
    out_.what = failed.what;
    return true;
  }

  void CutAfter(int step) {
    SimulationOptions shorter = out_.options;
    shorter.steps = step;
    Accept(shorter);
  }

  void DropFaults() {
    for (size_t i = 0; i < out_.options.without.size(); ++i) {
      if (out_.options.without[i]) continue;
      SimulationOptions fewer = out_.options;
      fewer.without.set(i);
      Accept(fewer);
    }
    std::cerr << "without " << out_.options.without.count() << " kinds of faults\n";
  }

  // Halves, quarters, ... single steps.
  void DropSteps() {
    SimulationOptions plain = out_.options;
    const int steps = plain.steps > 0 ? plain.steps : DrawPlan(plain.seed, plain.without).steps;
    for (int size = std::max(1, steps / 2);; size /= 2) {
      for (int from = 1; from <= steps; from += size) {
        SimulationOptions fewer = out_.options;
        for (int step = from; step < from + size; ++step) fewer.left_out.insert(step);
        if (fewer.left_out.size() > out_.options.left_out.size()) Accept(fewer);
      }
      std::cerr << steps - static_cast<int>(out_.options.left_out.size()) << " of " << steps
                << " steps\n";
      if (size == 1) return;
    }
  }

  const std::string mutation_;
  Shrunk out_;
};

}  // namespace

Shrunk Shrink(const SimulationOptions& options, const std::string& mutation) {
  return Shrinker(options, mutation).Run();
}

std::string CommandOf(const SimulationOptions& options, const std::string& mutation) {
  std::string command = absl::StrCat("tools/sim --first_seed ", options.seed, " --seeds 1 --trace");
  if (options.steps > 0) absl::StrAppend(&command, " --steps ", options.steps);
  if (!mutation.empty()) absl::StrAppend(&command, " --mutation ", mutation);
  std::string names;
  for (size_t i = 0; i < options.without.size(); ++i) {
    if (!options.without[i]) continue;
    absl::StrAppend(&names, names.empty() ? "" : ",", FaultName(static_cast<Fault>(i)));
  }
  if (!names.empty()) absl::StrAppend(&command, " --without ", names);
  std::string steps;
  for (const int step : options.left_out) absl::StrAppend(&steps, steps.empty() ? "" : ",", step);
  if (!steps.empty()) absl::StrAppend(&command, " --leave_out ", steps);
  return command;
}

}  // namespace boxkeeper::sim
