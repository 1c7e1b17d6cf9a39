// How long to wait before the next try.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "base/rng.h"

namespace boxkeeper::base {

struct BackoffOptions {
  BootClock::duration initial = std::chrono::seconds(1);
  BootClock::duration max = std::chrono::seconds(60);
  double factor = 2.0;
  // The share of each wait that is random: 0.5 = between 50 % and 100 % of it, so that many waiters
  // spread out.
  double jitter = 0.5;
};

// The wait before retry number `retry` (0 = the first): initial * factor^retry, at most max,
// jittered. For callers that store the number of failures themselves.
inline BootClock::duration BackoffFor(const BackoffOptions& options, int retry, Rng& rng) {
  double wait = static_cast<double>(options.initial.count());
  const double max = static_cast<double>(options.max.count());
  for (int i = 0; i < retry && wait < max; ++i) wait *= options.factor;
  wait = std::min(wait, max);
  wait -= wait * options.jitter * rng.Unit();
  return BootClock::duration(static_cast<BootClock::rep>(wait));
}

// The same with the count inside. Used on one thread.
class Backoff {
 public:
  // `rng` outlives it.
  Backoff(BackoffOptions options, Rng& rng) : options_(options), rng_(rng) {}

  BootClock::duration Next() { return BackoffFor(options_, failures_++, rng_); }
  void Reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  BackoffOptions options_;
  Rng& rng_;
  int failures_ = 0;
};

}  // namespace boxkeeper::base
