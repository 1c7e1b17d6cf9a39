#include "tests/sim/life.h"

#include "absl/strings/str_cat.h"
#include "daemon/core/naming.h"

namespace boxkeeper::sim {
namespace {

using std::chrono::milliseconds;

constexpr char kDatabase[] = "/state/state.db";
// A start that takes longer than this does not come back.
constexpr std::chrono::seconds kBootMax{100};
constexpr std::chrono::seconds kHandOverMax{30};

}  // namespace

Life::Life(uint64_t seed, const Plan& plan, World& world, Durable& durable, Trace& trace,
           std::function<void()> booted)
    : seed_(seed),
      plan_(plan),
      world_(world),
      durable_(durable),
      trace_(trace),
      booted_(std::move(booted)),
      draws_(Derive(seed, "life")) {}

void Life::Boot() {
  while (!BringUp()) {
    trace_.Sometimes("killed while starting");
    Kill();
    down_ = milliseconds(10);
  }
  if (!trace_.failed()) booted_();
}

void Life::MakeClock() {
  io_ = std::make_unique<asio::io_context>(1);
  clock_ = std::make_unique<base::FakeClock>(*io_);
  for (int i = 0; i < world_.reboots; ++i) clock_->Reboot(absl::ZeroDuration());
  if (world_.boot > clock_->Boot()) clock_->Suspend(world_.boot - clock_->Boot());
  clock_->SetWall(world_.wall);
  trace_.SetClock(clock_.get());
  world_.Bind(*clock_);
  world_.Pass(*clock_, std::exchange(down_, {}));
}

absl::Status Life::OpenStore() {
  store::InlineTaskStoreOptions options;
  options.log.path = kDatabase;
  options.log.ballast_bytes = 64 << 10;
  options.log.wal_reserve_bytes = 32 << 10;
  options.log.room_bytes = 128 << 10;
  options.checkpoint_bytes = static_cast<uint64_t>(draws_.Wide(20'000, 1'000'000).count());
  const int64_t slowest = draws_.Wide(1, 20'000).count();  // microseconds
  options.delay = [this, slowest] { return std::chrono::microseconds(draws_.Number(0, slowest)); };
  auto store = store::InlineTaskStore::Create(*clock_, world_.disk, options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  observed_store_ = std::make_unique<ObservedStore>(*store_, durable_);
  const bool older = std::exchange(older_, false);
  absl::Status loaded = durable_.Reload(*store_, older);
  if (older) ProtectUnknown();
  return loaded;
}

void Life::MakeProviders() {
  for (size_t i = 0; i < world_.clouds.size(); ++i) {
    Cloud& cloud = world_.clouds[i];
    const std::string& name = cloud.plan.name;
    auto fake = std::make_shared<providers::testing::FakeProvider>(
        io_->get_executor(), *clock_, *cloud.rng, *cloud.world, cloud.plan.faults);
    fake->SetReach(cloud.reach);
    fakes_[name] = fake;
    GuardDeps guard{trace_,
                    durable_,
                    cloud,
                    world_.naming(),
                    plan_.core.providers.at(name),
                    [this](const std::string& name) { return unknown_.contains(name); },
                    *clock_,
                    [this] { return Act(); }};
    const uint64_t seed = Derive(seed_, name, static_cast<uint64_t>(number_));
    registry_[name] = std::make_shared<ObservedProvider>(fake, seed, std::move(guard));
    cloud.calm_since = clock_->Boot();
  }
}

bool Life::BringUp() {
  MakeClock();
  ++number_;
  dead_ = false;
  smooth_since_ = clock_->Boot();
  core_rng_ = base::MakeSeededRng(Derive(seed_, "ids", static_cast<uint64_t>(number_)));
  const int64_t epoch_before = durable_.epoch();
  const bool lineage = !older_;
  if (absl::Status opened = OpenStore(); !opened.ok()) {
    trace_.Fail("life", absl::StrCat("store does not open: ", opened.ToString()));
    return true;
  }
  MakeProviders();
  metrics_ = std::make_unique<daemon::Metrics>();
  daemon::CoreDeps deps{
      .executor = io_->get_executor(),
      .clock = *clock_,
      .rng = *core_rng_,
      .store = *observed_store_,
      .providers = registry_,
      .naming = world_.naming(),
      .metrics = *metrics_,
      .unseal = [](const std::string& box, const base::SubmissionId&) { return box; },
      .fatal =
          [this](absl::Status status) {
            trace_.Say(absl::StrCat("exit 74: ", status.ToString()));
            trace_.Sometimes("exit 74");
            dead_ = true;
          },
      .decorate_status = nullptr};
  daemon::CoreOptions options = plan_.core;
  options.deployment_id = world_.deployment_id();
  auto core = daemon::Core::Create(std::move(deps), options);
  if (!core.ok()) {
    trace_.Fail("life", core.status().ToString());
    return true;
  }
  core_ = *std::move(core);
  const bool interrupted = plan_.Has(Fault::kKill) && draws_.Chance(0.1);
  const auto patience = interrupted ? milliseconds(draws_.Wide(1, 100)) : kBootMax;
  for (const bool recovering : {true, false}) {
    const auto done = Await(recovering ? core_->Recover() : core_->Start(), patience);
    if (!done.has_value() && interrupted) return false;
    if (!done.has_value() || !done->ok()) {
      trace_.Fail("life",
                  absl::StrCat("does not start: ", done.has_value() ? done->ToString() : "hangs"));
      return true;
    }
    if (!recovering) continue;
    CheckRecovered(lineage ? epoch_before : 0);
    output_ = std::make_unique<Output>(
        Output::Deps{*clock_, *core_rng_, world_.disk, io_->get_executor(), trace_, *core_,
                     forgotten_, recorded_,
                     [this](const std::string& id) {
                       const DurableTask* task = durable_.FindTaskById(id);
                       return task != nullptr && !task->status.log_incomplete().empty();
                     }},
        Derive(seed_, "output", static_cast<uint64_t>(number_)));
    core_->SetLogPort(output_.get());
  }
  return true;
}

void Life::CheckRecovered(int64_t epoch_before) {
  if (core_->epoch() <= epoch_before || core_->epoch() != durable_.epoch()) {
    trace_.Fail("I4", absl::StrCat("epoch ", core_->epoch(), " after ", epoch_before,
                                   ", durable is ", durable_.epoch()));
  }
  if (!handed_over_.empty() && core_->Fingerprint() != handed_over_) {
    trace_.Fail("I9", "the store gives another state than was handed over\n--- before\n" +
                          handed_over_ + "--- after\n" + core_->Fingerprint());
  }
  handed_over_.clear();
}

// Leaves coroutines where they are: nothing of the old process runs again.
void Life::Kill() {
  if (clock_ != nullptr) {
    world_.boot = clock_->Boot();
    world_.wall = clock_->Now();
  }
  trace_.SetClock(nullptr);
  core_.reset();
  output_.reset();
  registry_.clear();
  fakes_.clear();
  clock_.reset();
  io_.reset();
  observed_store_.reset();
  store_.reset();
  world_.disk.KillProcess();
  world_.disk.SetFault(nullptr);
  fuse_.reset();
}

void Life::Later(Draws& draws) {
  world_.disk.SetCapacity(std::nullopt);
  down_ = draws.Wide(1, 20'000);
}

void Life::KillNow(Draws& draws) {
  for (int64_t i = draws.Below(20); i > 0; --i) io_->poll_one();
  fuse_ = draws.Below(8);
  Advance(std::chrono::microseconds(draws.Wide(1, 50'000).count()));
  trace_.Say("kill -9");
  trace_.Sometimes("kill -9");
  Kill();
  Later(draws);
  Boot();
}

void Life::CutPower(Draws& draws) {
  fuse_ = draws.Below(8);
  Advance(std::chrono::microseconds(draws.Wide(1, 50'000).count()));
  trace_.Say("power cut");
  trace_.Sometimes("power cut");
  Kill();
  world_.disk.Crash(draws.rng());
  Later(draws);
  Boot();
}

void Life::Reboot(Draws& draws) {
  trace_.Say("reboot");
  trace_.Sometimes("reboot");
  for (Cloud& cloud : world_.clouds) cloud.world->Reboot();
  Kill();
  world_.disk.Crash(draws.rng());
  ++world_.reboots;
  world_.boot = base::BootTime{};
  Later(draws);
  Boot();
}

void Life::HandOver(Draws& draws) {
  trace_.Say("hand-over");
  trace_.Sometimes("hand-over");
  world_.disk.SetCapacity(std::nullopt);
  auto done = std::make_shared<bool>(false);
  asio::co_spawn(*io_, core_->HandOver(clock_->Boot() + std::chrono::seconds(20)),
                 [done](std::exception_ptr) { *done = true; });
  const base::BootTime limit = clock_->Boot() + kHandOverMax;
  while (!*done && !dead_ && clock_->Boot() < limit) Advance(milliseconds(20));
  if (!*done && !dead_) trace_.Fail("life", "the hand-over does not end");
  if (*done && core_->AllDurable()) handed_over_ = core_->Fingerprint();
  Kill();
  Later(draws);
  Boot();
}

void Life::Stop(base::BootClock::duration time) {
  trace_.Say("SIGSTOP");
  trace_.Sometimes("SIGSTOP");
  world_.Pass(*clock_, time);
  Disturb();
}

void Life::RestartIfDead(Draws& draws) {
  if (!dead_) return;
  // It must not go on while it is still there either.
  Advance(milliseconds(200));
  Kill();
  // After a failed sync the kernel may have dropped what it could not write.
  if (draws.Chance(0.5)) world_.disk.Crash(draws.rng());
  Later(draws);
  Boot();
}

void Life::KeepBackup() {
  auto names = world_.disk.List(World::kStateDir);
  if (!names.ok()) return trace_.Fail("life", "no state directory");
  trace_.Say("backup");
  durable_.KeepBackup();
  backup_.clear();
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(World::kStateDir, "/", name);
    if (auto content = world_.disk.Content(path); content.ok()) backup_[path] = *content;
  }
}

void Life::RestoreBackup(Draws& draws) {
  trace_.Say("restore");
  trace_.Sometimes("restored backup");
  Kill();
  auto names = world_.disk.List(World::kStateDir);
  if (!names.ok()) return trace_.Fail("life", "no state directory");
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(World::kStateDir, "/", name);
    if (!backup_.contains(path)) (void)world_.disk.Remove(path);
  }
  for (const auto& [path, content] : backup_) world_.disk.SetContent(path, content);
  older_ = restored_ = true;
  backup_.clear();
  Later(draws);
  Boot();
}

// What lives on, and the backup never knew. What it had forgotten already is an orphan as ever.
void Life::ProtectUnknown() {
  for (Cloud& cloud : world_.clouds) {
    for (const std::string& name : cloud.world->SandboxNames()) {
      if (cloud.strangers.contains(name) || durable_.EverKnown(name)) continue;
      unknown_.insert(name);
      trace_.Sometimes("store older than the world");
    }
  }
}

void Life::AcceptRestore() {
  v1::ListOrphansRequest list;
  Call<absl::StatusOr<v1::ListOrphansResponse>>(
      core_->ListOrphans(list), [this](absl::StatusOr<v1::ListOrphansResponse> orphans) {
        if (!orphans.ok() || orphans->higher_epoch() == 0) return;
        v1::ReapOrphansRequest reap;
        reap.set_accept_epoch(orphans->higher_epoch());
        unknown_.clear();
        trace_.Sometimes("higher epoch accepted");
        Call<absl::StatusOr<v1::ReapOrphansResponse>>(core_->ReapOrphans(reap), nullptr);
      });
}

std::optional<absl::Status> Life::Await(asio::awaitable<absl::Status> awaitable,
                                        base::BootClock::duration patience) {
  auto result = std::make_shared<std::optional<absl::Status>>();
  asio::co_spawn(*io_, std::move(awaitable),
                 [result](std::exception_ptr error, absl::Status value) {
                   if (error == nullptr) *result = std::move(value);
                 });
  const base::BootTime limit = clock_->Boot() + patience;
  do {
    clock_->Advance(std::chrono::microseconds(500));
  } while (!result->has_value() && clock_->Boot() < limit);
  return *result;
}

void Life::Spawn(asio::awaitable<void> awaitable) {
  asio::co_spawn(*io_, std::move(awaitable), [](std::exception_ptr) {});
}

bool Life::Act() {
  if (!fuse_.has_value()) return true;
  if (*fuse_ == 0) return false;
  --*fuse_;
  return true;
}

bool Life::MayBeHeard() {
  if (!Act()) return false;
  if (!dead_) return true;
  trace_.Fail("I1", "an answer after the store failed");
  return false;
}

}  // namespace boxkeeper::sim
