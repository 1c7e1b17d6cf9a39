#include "tests/sim/plan.h"

#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/sim/draws.h"

namespace boxkeeper::sim {
namespace {

using providers::testing::ErrorFault;
using providers::testing::FakeProviderOptions;
using providers::testing::Verb;
using std::chrono::milliseconds;

constexpr const char* kNames[] = {
    "latency",
    "errors",
    "uncertain_errors",
    "rate",
    "capacity",
    "quota",
    "broken_answers",
    "answer_lost",
    "create_lag",
    "delete_lag",
    "vanish",
    "duplicate_rows",
    "unknown_state",
    "hint_lost",
    "small_pages",
    "outage",
    "long_outage",
    "one_step",
    "names_reused",
    "start_once",
    "foreign",
    "several_providers",
    "kill",
    "power_cut",
    "fsync_error",
    "disk_full",
    "reboot",
    "stopped",
    "clock_jump",
    "backup",
    "hand_over",
    "drain",
    "adopt",
    "leases",
    "deadlines",
    "timeouts",
    "compaction",
    "slow_reader",
    "silent_start",
    "big_tasks",
};
static_assert(std::size(kNames) == static_cast<size_t>(Fault::kCount));

// Rare, because each changes the whole run.
constexpr std::array kSeldom = {Fault::kLongOutage, Fault::kBackup, Fault::kFsyncError};
constexpr double kSeldomShare = 0.3;

FaultSet DrawSet(uint64_t seed, const FaultSet& without) {
  // Quiet worlds, wild ones, and everything between.
  const double share = 0.1 + 0.6 * Draws(Derive(seed, "share")).Unit();
  FaultSet on;
  for (size_t i = 0; i < on.size(); ++i) {
    on[i] = Draws(Derive(seed, kNames[i])).Chance(share) && !without[i];
  }
  for (const Fault fault : kSeldom) {
    const char* name = FaultName(fault);
    if (Draws(Derive(seed, name, 1)).Unit() > kSeldomShare) on.reset(static_cast<size_t>(fault));
  }
  return on;
}

void AddError(FakeProviderOptions& faults, const ErrorFault& error) {
  for (auto& verb : faults.verbs) verb.errors.push_back(error);
}

void AddLimits(Draws& draws, const Plan& plan, FakeProviderOptions& faults) {
  if (plan.Has(Fault::kRate)) {
    ErrorFault rate{.probability = draws.Unit() * 0.4, .error_class = provider::v1::RATE};
    AddError(faults, rate);
    rate.retry_after = draws.Wide(10, 30'000);
    AddError(faults, rate);
    faults.rate_limit.per_second = draws.Chance(0.5) ? static_cast<double>(draws.Number(2, 50)) : 0;
  }
  if (plan.Has(Fault::kCapacity)) {
    faults[Verb::kCreate].errors.push_back(
        {.probability = draws.Unit() * 0.4, .error_class = provider::v1::CAPACITY});
  }
  if (plan.Has(Fault::kQuota)) {
    faults[Verb::kCreate].errors.push_back(
        {.probability = draws.Unit() * 0.3, .error_class = provider::v1::QUOTA});
  }
}

FakeProviderOptions DrawProviderFaults(Draws& draws, const Plan& plan) {
  FakeProviderOptions faults;
  faults.page_size = plan.Has(Fault::kSmallPages) ? static_cast<int>(draws.Number(1, 5)) : 100;
  for (auto& verb : faults.verbs) {
    if (!plan.Has(Fault::kLatency)) break;
    verb.latency.max = draws.Wide(1, 2'000);
    verb.latency.tail = draws.Chance(0.3) ? draws.Unit() * 0.1 : 0;
    verb.latency.tail_max = verb.latency.max + draws.Wide(100, 20'000);
  }
  if (plan.Has(Fault::kErrors)) AddError(faults, {.probability = draws.Unit() * 0.3});
  if (plan.Has(Fault::kUncertainErrors)) {
    AddError(faults, {.probability = draws.Unit() * 0.3, .proves_no_effect = false});
  }
  if (plan.Has(Fault::kBrokenAnswers)) {
    using providers::testing::FaultKind;
    constexpr std::array kBroken{FaultKind::kDrip, FaultKind::kReset,   FaultKind::kCut,
                                 FaultKind::kHtml, FaultKind::kGarbage, FaultKind::kHuge};
    const auto kind = kBroken[static_cast<size_t>(draws.Below(kBroken.size()))];
    AddError(faults, {.probability = draws.Unit() * 0.2, .kind = kind});
  }
  AddLimits(draws, plan, faults);
  for (auto& verb : faults.verbs) {
    if (plan.Has(Fault::kAnswerLost)) verb.answer_lost = draws.Unit() * 0.3;
  }
  faults[Verb::kOpen] = {};
  if (plan.Has(Fault::kVanish)) faults.vanish = draws.Unit() * 0.3;
  if (plan.Has(Fault::kHintLost)) faults.hint_lost = draws.Unit();
  if (plan.Has(Fault::kDuplicateRows)) {
    faults.duplicate_row = draws.Unit();
    faults.duplicate_page = draws.Unit() * 0.3;
  }
  faults.hint_with_view = draws.Unit();
  faults.events = draws.Chance(0.8);
  return faults;
}

ProviderPlan DrawProvider(uint64_t seed, int index, const Plan& plan) {
  Draws draws(Derive(seed, "provider", static_cast<uint64_t>(index)));
  ProviderPlan provider;
  provider.faults = DrawProviderFaults(draws, plan);
  provider.name = provider.faults.name = absl::StrCat("cloud", index);
  if (plan.Has(Fault::kUnknownState)) provider.unknown_state = draws.Unit() * 0.3;
  if (plan.Has(Fault::kCreateLag)) provider.world.create_list_lag = draws.Wide(10, 10'000);
  if (plan.Has(Fault::kDeleteLag)) provider.world.delete_list_lag = draws.Wide(10, 10'000);
  provider.world.one_step = plan.Has(Fault::kOneStep) && draws.Chance(0.5);
  provider.world.start_idempotent = !plan.Has(Fault::kStartOnce) || draws.Chance(0.5);
  provider.world.name_unique_incl_ended = !plan.Has(Fault::kNamesReused) || draws.Chance(0.5);
  // Such a name is free again once its sandbox is deleted. Deleted behind our back while the answer
  // to its create is lost, it runs a second time: the crash table (design) accepts that.
  const bool created_again = provider.world.one_step && provider.world.name_unique_incl_ended;
  if (created_again) provider.faults.vanish = 0;
  provider.world.host_bound = plan.Has(Fault::kReboot);
  provider.world.kill_latency = draws.Wide(1, 1'000);
  return provider;
}

daemon::CoreOptions DrawCore(uint64_t seed, const Plan& plan) {
  Draws draws(Derive(seed, "core"));
  daemon::CoreOptions core;
  core.max_running = draws.Number(1, 20);
  core.max_queued = draws.Number(5, 60);
  core.creation_batch_size = static_cast<size_t>(draws.Number(1, 8));
  core.handover_grace = draws.Wide(100, 20'000);
  core.cancel_grace = draws.Wide(1, 5'000);
  core.poll_interval = draws.Wide(500, 10'000);
  core.create_timeout = draws.Wide(1'000, 60'000);
  core.start_timeout = draws.Wide(1'000, 60'000);
  core.max_attempts = static_cast<int>(draws.Number(1, 4));
  core.retry_max = draws.Wide(1'000, 60'000);
  core.orphan_grace = draws.Wide(1'000, 60'000);
  if (plan.Has(Fault::kCompaction)) {
    core.retention = draws.Wide(500, 30'000);
    // It is measured in wall time.
    const auto dedupe = draws.Wide(2 * 3'600'000, 20 * 3'600'000);
    if (!plan.Has(Fault::kClockJump)) core.dedupe_retention = dedupe;
  }
  for (const ProviderPlan& provider : plan.providers) {
    daemon::ProviderLimits& limits = core.providers[provider.name];
    limits.call_timeout = draws.Wide(500, 30'000);
    limits.create_concurrency = static_cast<int>(draws.Number(1, 16));
    limits.status_concurrency = static_cast<int>(draws.Number(1, 16));
    limits.cleanup_concurrency = static_cast<int>(draws.Number(1, 16));
    if (draws.Chance(0.3)) limits.max_running = draws.Number(1, 10);
  }
  return core;
}

void DrawRates(uint64_t seed, Plan& plan) {
  auto rate = [&](Fault fault, double max) {
    const double unit = Draws(Derive(seed, FaultName(fault), 2)).Unit();
    return plan.Has(fault) ? 0.2 * max + 0.8 * max * unit : 0;
  };
  plan.kill = rate(Fault::kKill, 0.15);
  plan.power_cut = rate(Fault::kPowerCut, 0.08);
  plan.fsync_error = rate(Fault::kFsyncError, 0.05);
  plan.disk_full = rate(Fault::kDiskFull, 0.05);
  plan.reboot = rate(Fault::kReboot, 0.03);
  plan.outage = rate(Fault::kOutage, 0.05);
  plan.long_outage = rate(Fault::kLongOutage, 0.02);
  plan.stopped = rate(Fault::kStopped, 0.05);
  plan.clock_jump = rate(Fault::kClockJump, 0.05);
  plan.hand_over = rate(Fault::kHandOver, 0.06);
  plan.drain = rate(Fault::kDrain, 0.06);
  plan.adopt = rate(Fault::kAdopt, 0.05);
  plan.backup = plan.Has(Fault::kBackup);
}

}  // namespace

const char* FaultName(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

std::optional<Fault> FaultByName(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<Fault>(i);
  }
  return std::nullopt;
}

Plan DrawPlan(uint64_t seed, const FaultSet& without) {
  Plan plan;
  plan.on = DrawSet(seed, without);
  plan.steps = static_cast<int>(Draws(Derive(seed, "steps")).Wide(20, 200).count());
  const int providers =
      plan.Has(Fault::kSeveralProviders) ? Draws(Derive(seed, "providers")).Number(2, 3) : 1;
  for (int i = 0; i < providers; ++i) plan.providers.push_back(DrawProvider(seed, i, plan));
  plan.core = DrawCore(seed, plan);
  DrawRates(seed, plan);
  return plan;
}

void Heal(FakeProviderOptions& faults) {
  FakeProviderOptions healthy;
  healthy.name = faults.name;
  healthy.events = faults.events;
  faults = healthy;
}

}  // namespace boxkeeper::sim
