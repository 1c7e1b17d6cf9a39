#include "base/real_clock.h"

#include <time.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/wait_list.h"

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;

constexpr auto kRecheck = std::chrono::seconds(10);

BootTime ReadBootClock() {
  timespec now{};
  CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0, "Linux 2.6.39 and later have CLOCK_BOOTTIME");
  return BootTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

// The pending wait owns `fire`, so that destroying the io_context frees it (see wait_list.cc).
struct Timer : std::enable_shared_from_this<Timer> {
  explicit Timer(const asio::any_io_executor& executor) : timer(executor) {}

  void Wait(BootTime t, std::function<void()> fire) {
    auto left = std::max(t - ReadBootClock(), BootClock::duration::zero());
    timer.expires_after(std::min<BootClock::duration>(left, kRecheck));
    auto on_wait = [self = shared_from_this(), t, g = generation,
                    f = std::move(fire)](boost::system::error_code ec) mutable {
      if (ec || self->generation != g) return;
      if (ReadBootClock() < t) {
        self->Wait(t, std::move(f));
        return;
      }
      f();
    };
    timer.async_wait(std::move(on_wait));
  }

  asio::steady_timer timer;
  uint64_t generation =
      0;  // raised by each Set and Cancel: a wait that already completed must not fire
};

class RealAlarm final : public Alarm {
 public:
  explicit RealAlarm(const asio::any_io_executor& executor)
      : timer_(std::make_shared<Timer>(executor)) {}
  ~RealAlarm() override { Cancel(); }

  void Set(BootTime t, std::function<void()> fire) override {
    ++timer_->generation;
    timer_->Wait(t, std::move(fire));  // expires_after cancels the wait before
  }

  void Cancel() override {
    ++timer_->generation;
    timer_->timer.cancel();
  }

 private:
  std::shared_ptr<Timer> timer_;
};

class RealClock final : public Clock {
 public:
  RealClock() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::getline(file, boot_id_);
    CHECK(!boot_id_.empty(), "/proc is mounted");
  }

  absl::Time Now() const override { return absl::Now(); }
  BootTime Boot() const override { return ReadBootClock(); }
  std::string BootId() const override { return boot_id_; }
  std::unique_ptr<Alarm> NewAlarm(asio::any_io_executor executor) override {
    return std::make_unique<RealAlarm>(executor);
  }
  asio::awaitable<absl::Status> SleepUntil(BootTime t) override { return SleepByAlarm(*this, t); }

 private:
  std::string boot_id_;
};

}  // namespace

std::unique_ptr<Clock> MakeRealClock() { return std::make_unique<RealClock>(); }

}  // namespace boxkeeper::base
