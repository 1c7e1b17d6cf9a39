// What a seed draws before anything runs: which kinds of faults exist in its world at all, how
// strong each is, how the daemon is configured.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/options.h"
#include "providers/testing/fake_provider.h"
#include "providers/testing/fake_world.h"

namespace boxkeeper::sim {

// Each can be switched off by name (--without), and is by the shrinker.
enum class Fault {
  // of a provider
  kLatency,
  kErrors,           // 5xx: nothing was done
  kUncertainErrors,  // 5xx: who knows
  kRate,             // 429, some with retry_after
  kCapacity,
  kQuota,
  kBrokenAnswers,  // cut, HTML, 10 MB, garbage where JSON was due
  kAnswerLost,     // the effect comes about, its answer does not arrive
  kCreateLag,      // a new sandbox is not shown yet, by lists and look-ups
  kDeleteLag,      // a deleted one still is
  kVanish,         // deleted behind our back
  kDuplicateRows,
  kUnknownState,  // a state word that we do not know
  kHintLost,
  kSmallPages,
  kOutage,      // connections refused or hanging, up to minutes
  kLongOutage,  // for an hour
  kOneStep,
  kNamesReused,
  kStartOnce,  // a second Start runs the command a second time
  kForeign,    // sandboxes of others, some with forged labels
  kSeveralProviders,
  // of the host
  kKill,  // kill -9
  kPowerCut,
  kFsyncError,
  kDiskFull,
  kReboot,   // with every sandbox that is bound to the host
  kStopped,  // SIGSTOP: time passes, the daemon does nothing
  kClockJump,
  kBackup,  // the store is replaced by an old copy while sandboxes live on
  // of operators and clients
  kHandOver,
  kDrain,
  kAdopt,
  kLeases,
  kDeadlines,
  kTimeouts,
  kCompaction,  // results are kept for seconds
  kSlowReader,
  kSilentStart,  // a start that nobody attests
  kBigTasks,     // specs that are not kept in memory
  kCount
};

using FaultSet = std::bitset<static_cast<size_t>(Fault::kCount)>;

const char* FaultName(Fault fault);
std::optional<Fault> FaultByName(std::string_view name);

struct ProviderPlan {
  std::string name;
  providers::testing::FakeProviderOptions faults;
  providers::testing::FakeWorldOptions world;
  double unknown_state = 0;  // probability that a row says a word that we do not know
};

// Probabilities are per step.
struct Plan {
  FaultSet on;
  int steps = 0;
  std::vector<ProviderPlan> providers;
  daemon::CoreOptions core;
  double kill = 0;
  double power_cut = 0;
  double fsync_error = 0;
  double disk_full = 0;
  double reboot = 0;
  double outage = 0;
  double long_outage = 0;
  double stopped = 0;
  double clock_jump = 0;
  double hand_over = 0;
  double drain = 0;
  double adopt = 0;
  bool backup = false;

  bool Has(Fault fault) const { return on[static_cast<size_t>(fault)]; }
};

Plan DrawPlan(uint64_t seed, const FaultSet& without);

// No provider fault from here on: what a world heals to at its end.
void Heal(providers::testing::FakeProviderOptions& faults);

}  // namespace boxkeeper::sim
