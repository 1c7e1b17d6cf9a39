// The daemon's lives: it is started, killed, stopped, robbed of its disk, and started again.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/testing/fake_clock.h"
#include "daemon/core/core.h"
#include "store/inline_task_store.h"
#include "tests/sim/durable.h"
#include "tests/sim/observed_provider.h"
#include "tests/sim/observed_store.h"
#include "tests/sim/output.h"
#include "tests/sim/plan.h"
#include "tests/sim/world.h"

namespace boxkeeper::sim {

class Life {
 public:
  // All outlive it. `booted` is called whenever a daemon serves.
  Life(uint64_t seed, const Plan& plan, World& world, Durable& durable, Trace& trace,
       std::function<void()> booted);
  ~Life() { Kill(); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  void Boot();
  // kill -9, at this moment of what is going on.
  void KillNow(Draws& draws);
  // The machine loses its power: unsynced writes are kept, dropped or torn.
  void CutPower(Draws& draws);
  void Reboot(Draws& draws);
  void HandOver(Draws& draws);
  // SIGSTOP for so long.
  void Stop(base::BootClock::duration time);
  // If its store failed (exit 74), it is started again.
  void RestartIfDead(Draws& draws);
  void KeepBackup();
  bool has_backup() const { return !backup_.empty(); }
  // The store becomes the backup, sandboxes live on.
  void RestoreBackup(Draws& draws);
  // Says to the daemon, if it is needed, that its older store is to be gone on with.
  void AcceptRestore();

  // Runs the daemon for so long.
  void Advance(base::BootClock::duration time) { clock_->Advance(time); }

  daemon::Core& core() { return *core_; }
  base::FakeClock& clock() { return *clock_; }
  store::TaskStore& store() { return *store_; }
  providers::testing::FakeProvider& provider(const std::string& name) { return *fakes_.at(name); }
  bool up() const { return core_ != nullptr && !dead_; }
  bool dead() const { return dead_; }
  bool restored() const { return restored_; }
  bool HasExitRecord(const std::string& task) const { return recorded_.contains(task); }
  int64_t number() const { return number_; }
  // Since when this daemon has run without a break, on a disk that takes what it is given.
  base::BootTime smooth_since() const { return smooth_since_; }
  void Disturb() { smooth_since_ = clock_->Boot(); }

  // Calls the core; `then` runs if the answer comes before the process dies.
  template <typename T>
  void Call(asio::awaitable<T> awaitable, std::function<void(T)> then) {
    asio::co_spawn(*io_, std::move(awaitable),
                   [this, then = std::move(then)](std::exception_ptr error, T value) {
                     if (error != nullptr) return trace_.Fail("life", "an exception left the core");
                     // A refusal tells of nothing that has to be durable.
                     if (!value.ok() ? Act() : MayBeHeard()) {
                       if (then) then(std::move(value));
                     }
                   });
  }
  void Spawn(asio::awaitable<void> awaitable);
  // One thing that others can see; false from the one on at which the process is killed.
  bool Act();
  // True if an answer or an event still leaves the process. A failure if its store has failed:
  // nothing may be told then.
  bool MayBeHeard();

 private:
  void Kill();
  // Time passes while there is no daemon.
  void Later(Draws& draws);
  void MakeClock();
  absl::Status OpenStore();
  void ProtectUnknown();
  void MakeProviders();
  // False: it was killed on the way.
  bool BringUp();
  void CheckRecovered(int64_t epoch_before);
  std::optional<absl::Status> Await(asio::awaitable<absl::Status> awaitable,
                                    base::BootClock::duration patience);

  const uint64_t seed_;
  const Plan& plan_;
  World& world_;
  Durable& durable_;
  Trace& trace_;
  const std::function<void()> booted_;
  Draws draws_;

  int64_t number_ = 0;  // lives so far
  bool dead_ = false;
  std::optional<int64_t> fuse_;  // so many acts are left to it
  base::BootClock::duration down_{0};
  base::BootTime smooth_since_{};
  std::string handed_over_;
  std::map<std::string, std::string> backup_;  // by path
  bool older_ = false;                         // the next start finds a restored backup
  bool restored_ = false;
  std::set<std::string> unknown_;  // sandboxes that the restored store never knew, until accepted

  std::unique_ptr<store::InlineTaskStore> store_;
  std::unique_ptr<ObservedStore> observed_store_;
  std::unique_ptr<base::Rng> core_rng_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<base::FakeClock> clock_;
  std::map<std::string, std::shared_ptr<providers::testing::FakeProvider>> fakes_;
  providers::ProviderRegistry registry_;
  std::unique_ptr<daemon::Metrics> metrics_;
  std::unique_ptr<daemon::Core> core_;
  std::unique_ptr<Output> output_;
  std::set<std::string> forgotten_;  // tasks whose spool was removed
  std::set<std::string> recorded_;   // tasks whose exit record is stored
};

}  // namespace boxkeeper::sim
