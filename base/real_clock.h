// The kernel's time: CLOCK_REALTIME for people, CLOCK_BOOTTIME for everything else.
#pragma once

#include <memory>

#include "base/clock.h"

namespace boxkeeper::base {

// Alarms are Asio timers on CLOCK_MONOTONIC, checked again against boot time at least every ten
// seconds: after the machine slept they are late by no more than that, and never early.
std::unique_ptr<Clock> MakeRealClock();

}  // namespace boxkeeper::base
