// Coroutines that wait for something to happen, with a deadline.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "base/clock.h"

namespace boxkeeper::base {

// Holds nobody alive. On one executor's thread. `clock` outlives it and its waiters; the list
// itself may go first (waiters then end by deadline or cancellation).
//
//   while (!done_) {
//     absl::Status status = co_await changed_.Wait(deadline);
//     CO_RETURN_IF_ERROR(status);
//   }
class WaitList {
 public:
  explicit WaitList(Clock& clock);
  ~WaitList();

  // OK at the next NotifyAll, kDeadlineExceeded at `deadline` (BootTime::max() = never), or
  // kCancelled when the cancellation slot is used. Never completes inside the call that caused it.
  boost::asio::awaitable<absl::Status> Wait(BootTime deadline);
  void NotifyAll();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Clock::SleepUntil over the alarms of `clock`; shared by the clocks.
boost::asio::awaitable<absl::Status> SleepByAlarm(Clock& clock, BootTime t);

}  // namespace boxkeeper::base
