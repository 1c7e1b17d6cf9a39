#include "tests/sim/simulation.h"

#include "absl/strings/str_cat.h"
#include "tests/sim/checker.h"
#include "tests/sim/clients.h"
#include "tests/sim/draws.h"
#include "tests/sim/durable.h"
#include "tests/sim/life.h"
#include "tests/sim/output.h"
#include "tests/sim/readers.h"
#include "tests/sim/world.h"

namespace boxkeeper::sim {
namespace {

using providers::testing::FakeProvider;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// After the last fault everything must come to rest within this (virtual) time: the longest
// back-off, several times.
constexpr std::chrono::hours kQuietMax{2};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        plan_(DrawPlan(options.seed, options.without)),
        trace_(options.trace),
        world_(options.seed, plan_),
        durable_(trace_, world_.naming()),
        life_(options.seed, plan_, world_, durable_, trace_, [this] { readers_.Connect(); }),
        clients_(plan_, world_, life_, durable_, trace_),
        readers_(options.seed, plan_, life_, durable_, trace_,
                 [this](const v1::Task& task) { clients_.Told(task); }),
        checker_(plan_, world_, life_, durable_, clients_, readers_, trace_),
        steps_(options.steps > 0 ? options.steps : plan_.steps) {}

  SimulationResult Run() {
    life_.Boot();
    for (int step = 1; step <= steps_ && !trace_.failed(); ++step) {
      trace_.SetStep(step);
      if (options_.left_out.contains(step)) continue;
      Draws draws(Derive(options_.seed, "step", static_cast<uint64_t>(step)));
      Step(step, draws);
      life_.RestartIfDead(draws);
      if (disk_full_ && life_.up()) life_.Disturb();
      if (!trace_.failed()) checker_.AfterStep();
    }
    trace_.SetStep(steps_ + 1);
    if (!trace_.failed()) ComeToRest();
    if (!trace_.failed()) checker_.CheckEnd();
    if (!trace_.failed()) trace_.Say(life_.core().Fingerprint());
    return {trace_.failures(), trace_.hash(), trace_.sometimes(), steps_, plan_.on};
  }

 private:
  void Step(int step, Draws& draws) {
    EndOutages();
    if (draws.Chance(0.3)) HealDisk();
    if (plan_.backup && step == plan_.steps / 4) return life_.KeepBackup();
    if (plan_.backup && step == plan_.steps * 3 / 4) return Restore(draws);
    if (HostFault(draws) || ProviderFault(draws) || OperatorAction(draws)) return;
    if (draws.Chance(0.05)) checker_.CheckReplay();
    const double dice = draws.Unit();
    if (dice < 0.40) return clients_.SubmitNew(draws);
    if (dice < 0.48) return clients_.SubmitAgain(draws);
    if (dice < 0.50) return clients_.SubmitChanged(draws);
    if (dice < 0.60) return clients_.Cancel(draws);
    if (dice < 0.65) return readers_.Acknowledge(draws);
    if (dice < 0.67) return clients_.Wait(draws);
    if (dice < 0.69) return clients_.Get(draws);
    if (dice < 0.71) return clients_.List(draws);
    if (dice < 0.74) return clients_.Renew(draws);
    if (dice < 0.75) return clients_.Abandon(draws);
    life_.Advance(std::chrono::microseconds(draws.Wide(10, 10'000'000).count()));
  }

  bool HostFault(Draws& draws) {
    if (draws.Chance(plan_.kill)) return life_.KillNow(draws), true;
    if (draws.Chance(plan_.power_cut)) return life_.CutPower(draws), true;
    if (draws.Chance(plan_.reboot)) return life_.Reboot(draws), true;
    if (draws.Chance(plan_.stopped)) return life_.Stop(draws.Wide(100, 120'000)), true;
    if (draws.Chance(plan_.fsync_error)) return FailSyncs(draws), true;
    if (draws.Chance(plan_.disk_full)) return FillDisk(draws), true;
    if (draws.Chance(plan_.clock_jump)) return JumpClock(draws), true;
    return false;
  }

  bool ProviderFault(Draws& draws) {
    if (draws.Chance(plan_.outage)) return BeginOutage(draws, draws.Wide(100, 300'000)), true;
    if (draws.Chance(plan_.long_outage)) return LongOutage(draws), true;
    return false;
  }

  bool OperatorAction(Draws& draws) {
    if (draws.Chance(plan_.hand_over)) return life_.HandOver(draws), true;
    if (draws.Chance(plan_.drain)) return clients_.SetDrain(!clients_.draining()), true;
    if (draws.Chance(plan_.adopt)) {
      return clients_.Adopt(draws, readers_.AnyOwner(draws)), true;
    }
    return false;
  }

  // Of the whole disk, or of the output's alone, which the daemon survives.
  void FailSyncs(Draws& draws) {
    const bool all = draws.Chance(0.5);
    trace_.Say(all ? "syncs fail" : "syncs of output fail");
    world_.disk.SetFault([all](base::FileOperation operation, const std::string& path) {
      const bool hit = all || path.starts_with(Output::kSpoolDir);
      if (operation != base::FileOperation::kSync || !hit) return absl::OkStatus();
      return absl::DataLossError(absl::StrCat(path, ": I/O error"));
    });
    // Whoever is in the middle of something finds out.
    life_.Advance(all ? milliseconds(100) : draws.Wide(100, 5'000));
    if (!life_.dead()) world_.disk.SetFault(nullptr);
    if (all || !draws.Chance(0.5)) return;
    life_.Advance(draws.Wide(1, 1'000));
    if (!life_.dead()) life_.CutPower(draws);
  }

  void FillDisk(Draws& draws) {
    trace_.Say("disk full");
    trace_.Sometimes("disk full");
    const auto left = static_cast<uint64_t>(draws.Wide(1, 300'000).count());
    world_.disk.SetCapacity(world_.disk.used_bytes() + left);
    disk_full_ = true;
  }

  void HealDisk() {
    world_.disk.SetCapacity(std::nullopt);
    disk_full_ = false;
  }

  void JumpClock(Draws& draws) {
    trace_.Sometimes("clock jump");
    const absl::Duration jump = absl::FromChrono(draws.Wide(1'000, 86'400'000));
    absl::Time wall = life_.clock().Now();
    wall = draws.Chance(0.5) ? wall + jump : wall - jump;
    trace_.Say(absl::StrCat("clock jumps to ", absl::FormatTime(wall)));
    life_.clock().SetWall(wall);
  }

  void BeginOutage(Draws& draws, milliseconds time) {
    using Reach = FakeProvider::Reach;
    Cloud& cloud =
        world_.clouds[static_cast<size_t>(draws.Below(static_cast<int64_t>(world_.clouds.size())))];
    trace_.Say(absl::StrCat("outage of ", cloud.plan.name));
    trace_.Sometimes("outage");
    cloud.reach = draws.Chance(0.5) ? Reach::kRefuses : Reach::kHangs;
    cloud.down_until = life_.clock().Boot() + time;
    life_.provider(cloud.plan.name).SetReach(cloud.reach);
  }

  void EndOutages() {
    for (Cloud& cloud : world_.clouds) {
      if (cloud.up() || life_.clock().Boot() < cloud.down_until) continue;
      cloud.reach = FakeProvider::Reach::kUp;
      cloud.calm_since = life_.clock().Boot();
      life_.provider(cloud.plan.name).SetReach(cloud.reach);
      trace_.Say(absl::StrCat(cloud.plan.name, " is back"));
    }
  }

  // Timeouts, leases and cancels fall due meanwhile.
  void LongOutage(Draws& draws) {
    trace_.Sometimes("outage of an hour");
    HealDisk();
    BeginOutage(draws, std::chrono::hours(1));
    constexpr int kPieces = 12;
    for (int i = 0; i < kPieces && !life_.dead(); ++i) {
      clients_.Cancel(draws);
      clients_.SubmitNew(draws);
      life_.Advance(minutes(5));
      checker_.AfterStep();
    }
  }

  void Restore(Draws& draws) {
    if (!life_.has_backup()) return;
    // The world goes on for two more starts, so that it can be told from the backup.
    for (int i = 0; i < 2 && !trace_.failed(); ++i) {
      life_.KillNow(draws);
      clients_.SubmitNew(draws);
      life_.Advance(seconds(10));
      life_.RestartIfDead(draws);
      checker_.AfterStep();
    }
    if (trace_.failed()) return;
    checker_.Forget();
    clients_.Forget();
    readers_.Forget();
    life_.RestoreBackup(draws);
    checker_.Forget();
  }

  // No more faults: everything accepted must reach its end, every sandbox must go.
  void ComeToRest() {
    trace_.Say("rest");
    world_.HealAll();
    disk_full_ = false;
    for (Cloud& cloud : world_.clouds) {
      FakeProvider& provider = life_.provider(cloud.plan.name);
      provider.options() = cloud.plan.faults;
      provider.SetReach(cloud.reach);
      cloud.calm_since = life_.clock().Boot();
    }
    life_.Disturb();
    if (life_.restored()) {
      // Long enough for what must not happen.
      for (int i = 0; i < 20; ++i) life_.Advance(seconds(10));
      checker_.AfterStep();
    }
    clients_.SetDrain(false);
    const base::BootTime limit = life_.clock().Boot() + kQuietMax;
    for (int i = 0; life_.clock().Boot() < limit && !AtRest() && !trace_.failed(); ++i) {
      if (life_.restored() && i % 30 == 0) life_.AcceptRestore();
      life_.Advance(seconds(2));
      checker_.AfterStep();
    }
    life_.Advance(seconds(20));
    checker_.AfterStep();
    // Logs that were stored meanwhile, told to a reader that takes its time.
    while (life_.clock().Boot() < limit && !readers_.CaughtUp() && !trace_.failed()) {
      life_.Advance(seconds(2));
      checker_.AfterStep();
    }
  }

  // Also of the sandboxes whose create may still take effect: the core waits for them to settle.
  bool AtRest() {
    return durable_.live_tasks() == 0 && durable_.unstored_tasks() == 0 && readers_.CaughtUp() &&
           life_.core().AllDurable() && world_.Ours() == 0 &&
           life_.core().GetStatus().live_sandboxes() == 0;
  }

  const SimulationOptions options_;
  const Plan plan_;
  Trace trace_;
  World world_;
  Durable durable_;
  Life life_;
  Clients clients_;
  Readers readers_;
  Checker checker_;
  const int steps_;
  bool disk_full_ = false;
};

}  // namespace

SimulationResult RunSimulation(const SimulationOptions& options) {
  Simulation simulation(options);
  return simulation.Run();
}

}  // namespace boxkeeper::sim
