// Tries a call to a storage again: a few times, with back-off and jitter. What lasts longer is the
// caller's: the shipper keeps the bytes and comes back.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/rng.h"
#include "logs/remote/errors.h"

namespace boxkeeper::logs::remote {

struct RetryOptions {
  int tries_max = 4;
  // More errors that were mended than this are no progress.
  int mended_max = 3;
  base::BackoffOptions backoff = {std::chrono::milliseconds(100), std::chrono::seconds(5)};
  // A storage that asks for a longer wait than this is not waited for: the error is returned.
  base::BootClock::duration wait_max = std::chrono::seconds(30);
};

// Errors after which the same call may work.
inline bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status);
}

// The wait before try `failures` + 1 after `status`; nullopt if there is none. Its Retry-After is a
// lower bound.
inline std::optional<base::BootClock::duration> WaitBeforeRetry(const RetryOptions& options,
                                                                const absl::Status& status,
                                                                int failures, base::Rng& rng) {
  if (failures >= options.tries_max || !IsPassing(status)) return std::nullopt;
  const auto wait = base::BackoffFor(options.backoff, failures - 1, rng);
  const auto asked = RetryAfterOf(status).value_or(wait);
  if (asked > options.wait_max) return std::nullopt;
  return std::max(wait, asked);
}

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Calls `attempt` until it succeeds, fails for good, or was tried often enough; its last answer.
// Ends early, with the error of the last try, when cancelled while waiting. `Result` is
// absl::Status or absl::StatusOr<T>; `clock` and `rng` outlive the call.
//
//   auto once = [this, &key] { return SendOnce(key); };   // named, and alive until the end
//   auto reply = co_await RunWithRetries<absl::StatusOr<Reply>>(clock, rng, options, once);
template <typename Result>
boost::asio::awaitable<Result> RunWithRetries(
    base::Clock& clock, base::Rng& rng, RetryOptions options,
    std::function<boost::asio::awaitable<Result>()> attempt) {
  for (int failures = 1, mended = 0;;) {
    Result result = co_await attempt();
    if (StatusOf(result).ok()) co_return result;
    if (IsMended(StatusOf(result)) && ++mended <= options.mended_max) continue;
    const auto wait = WaitBeforeRetry(options, StatusOf(result), failures++, rng);
    if (!wait) co_return result;
    const absl::Status slept = co_await clock.SleepUntil(clock.Boot() + *wait);
    if (!slept.ok()) co_return result;
  }
}

}  // namespace boxkeeper::logs::remote
