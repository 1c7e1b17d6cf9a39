// Stops creating at a provider that is down, and tries again one create at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/rng.h"

namespace boxkeeper::providers {

struct CircuitBreakerOptions {
  int failures_max = 5;  // in a row, before it opens
  // How long it stays open: longer with each trial that fails.
  base::BackoffOptions open{std::chrono::seconds(1), std::chrono::seconds(60)};
};

// Of creates only: what runs must be watched, stopped and destroyed whatever creates do. A failure
// is an answer that says the provider is not well (kTransient, kUnavailable, a deadline), not a
// refusal of what was asked. On one thread.
class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  // `clock` and `rng` outlive it.
  CircuitBreaker(base::Clock& clock, base::Rng& rng, CircuitBreakerOptions options = {});

  // Whether a call may be made now. Half open, only one at a time may: a true answer must be
  // followed by OnSuccess, OnFailure or OnAbandoned.
  bool MayCall();
  void OnSuccess();
  void OnFailure();
  // The call was given up before it said anything.
  void OnAbandoned();

  State state() const;
  // When MayCall is worth asking again, while it says no; half open: unknown, the call under way
  // decides.
  base::BootTime retry_at() const { return retry_at_; }

 private:
  base::Clock& clock_;
  const CircuitBreakerOptions options_;
  base::Backoff backoff_;
  int failures_ = 0;
  bool open_ = false;
  bool trying_ = false;
  base::BootTime retry_at_;
};

}  // namespace boxkeeper::providers
