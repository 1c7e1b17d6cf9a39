// What outlives the daemon: clouds with their sandboxes, the disk, time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/identity/deployment.h"
#include "base/rng.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "daemon/wiring/identity_adapter.h"
#include "providers/testing/fake_world.h"
#include "tests/sim/plan.h"

namespace boxkeeper::sim {

struct Cloud {
  ProviderPlan plan;
  std::unique_ptr<base::Rng> rng;  // requests that outlive the daemon still draw from it
  std::unique_ptr<providers::testing::FakeWorld> world;
  providers::testing::FakeProvider::Reach reach = providers::testing::FakeProvider::Reach::kUp;
  base::BootTime down_until{};                    // while it is not kUp
  base::BootTime calm_since{};                    // no fault since then, as far as we make them
  std::map<std::string, base::BootTime> created;  // sandboxes of this boot, by name
  size_t created_read = 0;                        // of the world's audit
  bool muted = false;                             // hints wait: the daemon is stopped
  std::set<std::string> strangers;                // sandboxes of others, by name

  // True while look-ups do not show a new sandbox yet.
  bool IsTooNew(const std::string& name, base::BootTime now);
  // True where every call is answered, and truly.
  bool calm() const;
  bool up() const { return reach == providers::testing::FakeProvider::Reach::kUp; }
};

class World {
 public:
  static constexpr char kStateDir[] = "/state";

  // `plan` outlives it.
  World(uint64_t seed, const Plan& plan);

  // For the clock of the daemon's next life.
  void Bind(base::Clock& clock);
  // Time passes, and the daemon is not there or does nothing.
  void Pass(base::FakeClock& clock, base::BootClock::duration time);
  // A sandbox of somebody else: unlabelled, of another deployment, or forged to look like ours.
  void AddStranger(Cloud& cloud, uint64_t number);
  Cloud* Find(const std::string& provider);
  // Sandboxes of ours that exist now.
  int64_t Ours();
  // From here on everything works.
  void HealAll();

  const daemon::Naming& naming() const { return naming_; }
  const std::string& deployment_id() const { return ours_->id(); }

  std::vector<Cloud> clouds;
  base::FaultyFileSystem disk;
  // Between two lives of the daemon: where time stands.
  base::BootTime boot{std::chrono::hours(1)};
  absl::Time wall = absl::FromUnixSeconds(1'800'000'000);
  int reboots = 0;

 private:
  static std::unique_ptr<base::Deployment> MakeDeployment(uint64_t seed, const char* id);

  const Plan& plan_;
  const std::unique_ptr<base::Deployment> ours_;
  const std::unique_ptr<base::Deployment> others_;  // another deployment
  const std::unique_ptr<base::Deployment> forged_;  // our id, another key
  const daemon::DeploymentNaming naming_;
  const uint64_t seed_;
};

}  // namespace boxkeeper::sim
