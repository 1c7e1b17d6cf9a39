#include "tests/sim/world.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/sim/draws.h"

namespace boxkeeper::sim {
namespace {

using providers::testing::FakeProvider;
using providers::testing::FakeWorld;

}  // namespace

bool Cloud::IsTooNew(const std::string& name, base::BootTime now) {
  using providers::testing::AuditEntry;
  const auto& audit = world->audit();
  for (; created_read < audit.size(); ++created_read) {
    const AuditEntry& entry = audit[created_read];
    if (entry.kind == AuditEntry::kCreate) created[entry.name] = entry.at;
    if (entry.kind == AuditEntry::kReboot) created.clear();
  }
  const auto found = created.find(name);
  return found != created.end() && now < found->second + plan.world.create_list_lag;
}

bool Cloud::calm() const {
  if (!up()) return false;
  if (plan.faults.rate_limit.per_second > 0) return false;
  for (const auto& verb : plan.faults.verbs) {
    if (!verb.errors.empty() || verb.answer_lost > 0) return false;
  }
  return true;
}

std::unique_ptr<base::Deployment> World::MakeDeployment(uint64_t seed, const char* id) {
  base::FaultyFileSystem fs;
  CHECK(fs.MakeDirectories("/identity-of", 0700).ok());
  auto rng = base::MakeSeededRng(seed);
  auto made = base::Deployment::LoadOrCreate(fs, *rng, {.state_dir = "/identity-of", .id = id});
  CHECK(made.ok(), "an identity in memory can be made");
  return *std::move(made);
}

World::World(uint64_t seed, const Plan& plan)
    : plan_(plan),
      ours_(MakeDeployment(1, "sim")),
      others_(MakeDeployment(2, "another")),
      forged_(MakeDeployment(3, "sim")),
      naming_(*ours_),
      seed_(seed) {
  CHECK(disk.MakeDirectories(kStateDir, 0700).ok());
  for (size_t i = 0; i < plan.providers.size(); ++i) {
    Cloud& cloud = clouds.emplace_back();
    cloud.plan = plan.providers[i];
    cloud.rng = base::MakeSeededRng(Derive(seed, "cloud", i));
  }
}

void World::Bind(base::Clock& clock) {
  uint64_t number = 0;
  for (Cloud& cloud : clouds) {
    const bool first = cloud.world == nullptr;
    if (first) cloud.world = std::make_unique<FakeWorld>(clock, cloud.plan.world);
    cloud.world->Rebind(clock);
    if (!first || !plan_.Has(Fault::kForeign)) continue;
    constexpr int kKinds = 5;
    for (int i = 0; i < kKinds; ++i) AddStranger(cloud, number++);
  }
}

void World::Pass(base::FakeClock& clock, base::BootClock::duration time) {
  const base::BootTime until = clock.Boot() + time;
  for (Cloud& cloud : clouds) cloud.muted = true;
  while (true) {
    Cloud* next = nullptr;
    for (Cloud& cloud : clouds) {
      const auto due = cloud.world->NextDue();
      if (!due.has_value() || *due > until) continue;
      if (next == nullptr || *due < *next->world->NextDue()) next = &cloud;
    }
    if (next == nullptr) break;
    const base::BootTime due = *next->world->NextDue();
    if (due > clock.Boot()) clock.Suspend(due - clock.Boot());
    next->world->Settle();
  }
  clock.Suspend(until - clock.Boot());
  for (Cloud& cloud : clouds) cloud.muted = false;
}

void World::AddStranger(Cloud& cloud, uint64_t number) {
  Draws draws(Derive(seed_, "stranger", number));
  const base::SandboxId id{draws.rng().NewId()};
  const std::string& provider = cloud.plan.name;
  std::string name = absl::StrCat("somebody-", number);
  std::map<std::string, std::string> labels;
  switch (number % 5) {
    case 0:
      labels = {{"team", "payments"}};
      break;
    case 1:
      name = others_->Name(id);
      labels = others_->Labels(id, provider, 0, 1, {});
      break;
    case 2:  // says that it is ours, and has no key to prove it
      name = forged_->Name(id);
      labels = forged_->Labels(id, provider, 0, 1, {});
      break;
    case 3:  // a name that we once gave, without labels
      name = ours_->Name(id);
      break;
    default:  // labels copied from another provider
      name = ours_->Name(id);
      labels = ours_->Labels(id, "elsewhere", 0, 1, {});
  }
  cloud.strangers.insert(name);
  cloud.world->AddForeign(name, std::move(labels));
}

Cloud* World::Find(const std::string& provider) {
  for (Cloud& cloud : clouds) {
    if (cloud.plan.name == provider) return &cloud;
  }
  return nullptr;
}

int64_t World::Ours() {
  int64_t ours = 0;
  for (Cloud& cloud : clouds) {
    for (const std::string& name : cloud.world->SandboxNames()) {
      ours += cloud.strangers.contains(name) ? 0 : 1;
    }
  }
  return ours;
}

void World::HealAll() {
  disk.SetCapacity(std::nullopt);
  disk.SetFault(nullptr);
  for (Cloud& cloud : clouds) {
    Heal(cloud.plan.faults);
    cloud.plan.unknown_state = 0;
    cloud.reach = FakeProvider::Reach::kUp;
  }
}

}  // namespace boxkeeper::sim
