// What every call to a remote provider goes through: a bounded number at a time, the rate that the
// provider was found to take, a circuit breaker for creates, repeats of what may be repeated.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/slots.h"
#include "providers/provider.h"
#include "providers/runtime/circuit_breaker.h"
#include "providers/runtime/rate_limiter.h"

namespace boxkeeper::providers {

// Calls of one class share places and a learned rate, so that creates that are refused slow neither
// the watching nor the cleaning up.
enum class CallClass { kCreate, kStatus, kCleanup, kCount };

// How one verb is treated.
struct CallPolicy {
  CallClass call_class = CallClass::kStatus;
  // Makes sandboxes: asks the circuit breaker, and tells it.
  bool breaker = false;
  // May be repeated whatever became of the last try. Others only where it proved no effect.
  bool repeatable = false;
  // One try may take all the time there is; else at most CallLimits::call_timeout.
  bool long_try = false;
};

struct CallRunnerOptions {
  CallLimits limits;
  // More callers than that may not wait for a place.
  size_t waiting_max = 100'000;
  // Tries in all after TRANSIENT and PROTOCOL errors; a 429 is repeated until the deadline.
  int tries_max = 4;
  base::BackoffOptions backoff{std::chrono::milliseconds(200), std::chrono::seconds(5)};
  CircuitBreakerOptions breaker;
  RateLimiterOptions rate;
};

// Monotonic, by class.
struct CallCounters {
  int64_t tries = 0;
  int64_t repeats = 0;    // tries after the first of a call
  int64_t refused = 0;    // answers that were RATE
  int64_t failed = 0;     // answers that were any other error
  int64_t held_back = 0;  // calls that never left: breaker open, no place or no turn in time
};

// On the loop's thread. Calls in flight keep what they need; `clock` and `rng` outlive them.
class CallRunner {
 public:
  CallRunner(base::Clock& clock, base::Rng& rng, const CallRunnerOptions& options);

  // Runs `call(deadline_of_the_try)` until it succeeds, fails for good, or `deadline` leaves no
  // time for another try; gives its last answer. An answer that nothing left for comes with proof:
  // TRANSIENT (no place, breaker open: `retry_after`) or RATE. Where an earlier try of a repeatable
  // call may have had its effect, the last error proves nothing either.
  template <typename T>
  boost::asio::awaitable<absl::StatusOr<T>> Run(
      CallPolicy policy, base::BootTime deadline,
      std::function<boost::asio::awaitable<absl::StatusOr<T>>(base::BootTime)> call);

  void SetLimits(const CallLimits& limits);

  const CallCounters& counters(CallClass call_class) const;
  CircuitBreaker::State breaker() const;
  // Calls a second; 0 = not limited.
  double rate(CallClass call_class) const;
  size_t in_flight(CallClass call_class) const;
  // What an operator should know: a limited rate, suspended creates.
  std::vector<std::string> warnings() const;

 private:
  struct State;

  // One try that may leave: gives its place back, and tells what it learned.
  class Pass {
   public:
    Pass(std::shared_ptr<State> state, CallPolicy policy, base::Slots::Slot slot);
    Pass(Pass&& other) noexcept = default;
    Pass& operator=(Pass&& other) = delete;
    ~Pass();
    // Once; a pass that goes without it was cancelled.
    void Report(const absl::Status& answer);

   private:
    std::shared_ptr<State> state_;  // null once reported
    CallPolicy policy_;
    base::Slots::Slot slot_;
    base::BootTime sent_at_;
  };

  static boost::asio::awaitable<absl::StatusOr<Pass>> Enter(std::shared_ptr<State> state,
                                                            CallPolicy policy,
                                                            base::BootTime deadline);
  // When the next try may begin; nullopt: there is none.
  static std::optional<base::BootTime> NextTry(State& state, const CallPolicy& policy,
                                               const absl::Status& answer, int tries,
                                               base::BootTime deadline);
  static base::BootTime TryDeadline(State& state, const CallPolicy& policy,
                                    base::BootTime deadline);
  static boost::asio::awaitable<absl::Status> Sleep(std::shared_ptr<State> state,
                                                    base::BootTime until);
  static absl::Status WithoutProof(const absl::Status& status);

  std::shared_ptr<State> state_;
};

template <typename T>
boost::asio::awaitable<absl::StatusOr<T>> CallRunner::Run(
    CallPolicy policy, base::BootTime deadline,
    std::function<boost::asio::awaitable<absl::StatusOr<T>>(base::BootTime)> call) {
  const std::shared_ptr<State> state = state_;
  std::optional<absl::StatusOr<T>> last;
  bool uncertain = false;  // an earlier try may have had its effect
  for (int tries = 1;; ++tries) {
    auto pass = co_await Enter(state, policy, deadline);
    if (!pass.ok()) {
      if (last.has_value()) co_return *std::move(last);
      co_return pass.status();
    }
    auto answer = co_await call(TryDeadline(*state, policy, deadline));
    pass->Report(answer.status());
    if (answer.ok()) co_return answer;
    last.emplace(uncertain ? WithoutProof(answer.status()) : answer.status());
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    const bool cancelled = cancellation.cancelled() != boost::asio::cancellation_type::none;
    const auto next = NextTry(*state, policy, last->status(), tries, deadline);
    if (cancelled || !next.has_value()) co_return *std::move(last);
    uncertain = uncertain || !ErrorOf(last->status()).proves_no_effect();
    const absl::Status slept = co_await Sleep(state, *next);
    if (!slept.ok()) co_return *std::move(last);
  }
}

}  // namespace boxkeeper::providers
