#include "base/testing/fake_clock.h"

#include <absl/strings/str_format.h>

#include <boost/asio/post.hpp>

#include "base/wait_list.h"

namespace boxkeeper::base {

namespace asio = boost::asio;

class FakeAlarm final : public Alarm {
 public:
  FakeAlarm(std::weak_ptr<FakeClock::Core> core, asio::any_io_executor executor)
      : core_(std::move(core)), executor_(std::move(executor)) {}
  ~FakeAlarm() override { Cancel(); }

  void Set(BootTime t, std::function<void()> fire) override {
    Cancel();
    auto core = core_.lock();
    if (!core) return;
    order_ = {t, core->next_sequence++};
    // The token lets a Cancel between firing and running (both on this thread) still win.
    token_ = std::make_shared<int>();
    auto guarded = [weak = std::weak_ptr<int>(token_), f = std::move(fire)] {
      if (!weak.expired()) f();
    };
    core->pending.emplace(*order_, FakeClock::Pending{executor_, std::move(guarded)});
  }

  void Cancel() override {
    token_.reset();
    auto core = core_.lock();
    if (!core || !order_) return;
    auto node = core->pending.extract(
        *order_);  // Destroyed after the map is whole again: it may own other alarms.
    order_.reset();
  }

 private:
  std::weak_ptr<FakeClock::Core> core_;
  asio::any_io_executor executor_;
  std::optional<FakeClock::Order> order_;
  std::shared_ptr<int> token_;
};

FakeClock::FakeClock(asio::io_context& context)
    : context_(context),
      boot_(std::chrono::hours(1)),
      wall_(absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone())) {}

FakeClock::~FakeClock() { DropAll(); }

absl::Time FakeClock::Now() const { return wall_; }

BootTime FakeClock::Boot() const { return boot_; }

std::string FakeClock::BootId() const {
  return absl::StrFormat("00000000-0000-4000-8000-%012d", boots_);
}

std::unique_ptr<Alarm> FakeClock::NewAlarm(asio::any_io_executor executor) {
  return std::make_unique<FakeAlarm>(core_, std::move(executor));
}

asio::awaitable<absl::Status> FakeClock::SleepUntil(BootTime t) { return SleepByAlarm(*this, t); }

void FakeClock::Advance(BootClock::duration d) { JumpTo(boot_ + d); }

void FakeClock::JumpTo(BootTime t) {
  RunUntilIdle();
  while (!core_->pending.empty() && core_->pending.begin()->first.first <= t) {
    auto node = core_->pending.extract(core_->pending.begin());
    BootTime due = node.key().first;
    if (due > boot_) {
      wall_ += absl::FromChrono(due - boot_);
      boot_ = due;
    }
    asio::post(node.mapped().executor, std::move(node.mapped().fire));
    RunUntilIdle();
  }
  if (t > boot_) {
    wall_ += absl::FromChrono(t - boot_);
    boot_ = t;
  }
}

void FakeClock::Suspend(BootClock::duration d) {
  wall_ += absl::FromChrono(d);
  boot_ += d;
}

void FakeClock::RunUntilIdle() {
  // An io_context that ran out of work is stopped and refuses to run until restarted.
  context_.restart();
  while (context_.poll() > 0) context_.restart();
}

std::optional<BootTime> FakeClock::NextAlarm() const {
  if (core_->pending.empty()) return std::nullopt;
  return core_->pending.begin()->first.first;
}

void FakeClock::SetWall(absl::Time t) { wall_ = t; }

void FakeClock::Reboot(absl::Duration down) {
  DropAll();
  ++boots_;
  boot_ = BootTime();
  wall_ += down;
}

void FakeClock::DropAll() {
  // Destroying a callback may destroy coroutines that cancel alarms of their own: keep the map
  // usable meanwhile.
  while (!core_->pending.empty()) {
    auto node = core_->pending.extract(core_->pending.begin());
  }
}

}  // namespace boxkeeper::base
