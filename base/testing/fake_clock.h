// Virtual time for tests and the simulator.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"

namespace boxkeeper::base {

// Time moves only by Advance, JumpTo, SetWall and Reboot. Everything on one thread: the one that
// drives `context`. Lives shorter than `context`; alarms may outlive the clock (they then never
// fire).
//
//   FakeClock clock(context);
//   ... spawn what is tested ...
//   clock.Advance(std::chrono::seconds(5));
class FakeClock final : public Clock {
 public:
  // Starts at wall time 2026-01-01T00:00:00Z, one hour after boot.
  explicit FakeClock(boost::asio::io_context& context);
  ~FakeClock() override;

  absl::Time Now() const override;
  BootTime Boot() const override;
  std::string BootId() const override;
  std::unique_ptr<Alarm> NewAlarm(boost::asio::any_io_executor executor) override;
  boost::asio::awaitable<absl::Status> SleepUntil(BootTime t) override;

  // Runs the context until idle, then fires each alarm that becomes due, in order of (time, order
  // of Set), each at its own time and followed by running the context until idle. Alarms set
  // meanwhile fire too if due within `d`.
  void Advance(BootClock::duration d);
  // Advance to `t`; a time passed already only fires what is due.
  void JumpTo(BootTime t);
  // Time passes and nothing runs, as in a stopped process: what became due fires with the next
  // Advance or JumpTo, at the time that it is then.
  void Suspend(BootClock::duration d);
  // Runs the context until idle without moving time.
  void RunUntilIdle();
  // When the next alarm is due, so that a simulator can jump there.
  std::optional<BootTime> NextAlarm() const;

  // Moves wall time only, as an administrator or NTP does.
  void SetWall(absl::Time t);
  // A new boot id, boot time from zero; wall time goes on after `down`. Pending alarms are dropped
  // unfired: their process is gone.
  void Reboot(absl::Duration down);

 private:
  friend class FakeAlarm;
  struct Pending {
    boost::asio::any_io_executor executor;
    std::function<void()> fire;
  };
  using Order = std::pair<BootTime, uint64_t>;  // due, sequence of Set
  struct Core {
    std::map<Order, Pending> pending;
    uint64_t next_sequence = 0;
  };

  void DropAll();

  boost::asio::io_context& context_;
  std::shared_ptr<Core> core_ = std::make_shared<Core>();
  BootTime boot_;
  absl::Time wall_;
  uint64_t boots_ = 1;
};

}  // namespace boxkeeper::base
