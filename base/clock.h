// The only source of time and the only way to wait, so that the simulator runs the same code on
// virtual time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace boxkeeper::base {

// An instant of CLOCK_BOOTTIME: monotonic, counts while the machine sleeps, meaningless after a
// reboot. All intervals, deadlines within one boot and waits use it; absl::Time is for people and
// records (I13).
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

// A re-armable one-shot timer. Used on the thread of the executor it was made for. Destroying it
// cancels it.
class Alarm {
 public:
  virtual ~Alarm() = default;
  // Calls `fire` once at `t` (soon, if `t` has passed), from the executor, never from within Set. A
  // second Set replaces the first; what was replaced or cancelled never fires.
  virtual void Set(BootTime t, std::function<void()> fire) = 0;
  virtual void Cancel() = 0;
};

// Thread-safe but for the objects it returns. Passed by reference, never a global.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time: for people and records.
  virtual absl::Time Now() const = 0;
  virtual BootTime Boot() const = 0;
  // The kernel's boot id (UUID text); differs after a reboot.
  virtual std::string BootId() const = 0;
  virtual std::unique_ptr<Alarm> NewAlarm(boost::asio::any_io_executor executor) = 0;
  // Completes with OK at `t`, or with kCancelled when its cancellation slot is used.
  virtual boost::asio::awaitable<absl::Status> SleepUntil(BootTime t) = 0;
};

}  // namespace boxkeeper::base
