// SleepUntil over any Alarm; shared by the clocks.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/clock.h"

namespace boxkeeper::base {

// Completes with OK at `t` by an alarm of `clock`, or with kCancelled, posted, when the
// cancellation slot is used. `clock` outlives the coroutine.
boost::asio::awaitable<absl::Status> SleepByAlarm(Clock& clock, BootTime t);

}  // namespace boxkeeper::base
