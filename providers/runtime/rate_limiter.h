// Learns how many calls a second a provider takes, from its 429 answers.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <optional>

#include "absl/status/status.h"
#include "base/clock.h"

namespace boxkeeper::providers {

struct RateLimiterOptions {
  double rate_min = 0.2;  // calls a second; a provider that refuses more is as good as down
  // The share of the accepted rate that is used after a refusal. Little is accepted where little is
  // asked for: the first guess is not below `guess_min`, and no refusal more than halves the rate.
  double decrease = 0.9;
  double guess_min = 10;
  // After a refusal the rate is held for this long, then grows by this share of itself a second.
  // 20 s and 1 %: at a steady limit about one refusal in 30 s.
  std::chrono::milliseconds hold{20'000};
  double growth = 0.01;
  // Who has grown for so long without a refusal was far below the limit (a refusal of the first
  // burst says little about it): from then on growth doubles every `doubling`, up to `growth_max`.
  std::chrono::milliseconds careful{15'000};
  std::chrono::milliseconds doubling{5'000};
  double growth_max = 0.5;
  // What a refusal without Retry-After pauses for.
  std::chrono::milliseconds pause{500};
  // No Retry-After is obeyed for longer.
  std::chrono::milliseconds pause_max{120'000};
};

// A token bucket whose rate is unknown, and unbounded, until the first 429. Then calls are spread
// evenly, a little below what the provider has accepted, and it is tried again and again whether
// more is allowed. On one thread.
//
//   co_await limiter.Admit(deadline);  ... call ...  limiter.OnAnswer(sent_at, answer)
class RateLimiter {
 public:
  // `clock` outlives it.
  explicit RateLimiter(base::Clock& clock, RateLimiterOptions options = {});

  // Completes when the next call may leave; in the order of the calls, but for those that a
  // decrease made wait anew. kDeadlineExceeded, at once, if that would be after `deadline`.
  boost::asio::awaitable<absl::Status> Admit(base::BootTime deadline);

  // The call that left at `sent_at` was answered, by anything but 429.
  void OnAccepted(base::BootTime sent_at);
  // By 429. Calls that left before the last decrease say nothing new.
  void OnRefused(base::BootTime sent_at, std::optional<std::chrono::milliseconds> retry_after);

  // Calls a second now; 0 = not limited.
  double rate() const;
  uint64_t refusals() const { return refusals_; }

 private:
  void Grow();
  double AcceptedRate() const;
  // By how much the logarithm of the rate has grown, `seconds` after the end of the hold.
  double Growth(double seconds) const;

  base::Clock& clock_;
  const RateLimiterOptions options_;
  double rate_ = 0;                      // 0 = not limited
  base::BootTime next_;                  // when the next call may leave
  base::BootTime decreased_at_;          // the last decrease
  double learned_ = 0;                   // rate_ as the last decrease left it
  std::deque<base::BootTime> accepted_;  // of the last seconds: when they left
  uint64_t refusals_ = 0;
};

}  // namespace boxkeeper::providers
