// Wakes coroutines on the loop: a condition variable for one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace boxkeeper::daemon {

// The timer never fires by time (it stands at the end of time, so the Clock seam is not passed by):
// cancelling it is the wake-up, and it honours the waiter's cancellation slot, as every wait must.
class Signal {
 public:
  explicit Signal(boost::asio::any_io_executor executor)
      : timer_(std::move(executor), boost::asio::steady_timer::time_point::max()) {}

  // Wakes all who wait now. Who waits later waits for the next Notify.
  void Notify() { timer_.cancel(); }

  // Also returns, early, when the waiter is cancelled: check the condition again.
  boost::asio::awaitable<void> Wait() {
    co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace boxkeeper::daemon
