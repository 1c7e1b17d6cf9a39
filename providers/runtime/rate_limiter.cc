#include "providers/runtime/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace boxkeeper::providers {

using base::BootTime;
using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

// Over which time the accepted rate is measured.
constexpr milliseconds kWindow{2'000};
// Of more calls than that within the window the first ones are forgotten: the rate is then high
// enough to be measured by fewer.
constexpr size_t kAcceptedMax = 4096;

// No limit of anybody's.
constexpr double kRateMax = 1e6;

double Seconds(nanoseconds time) { return duration<double>(time).count(); }

nanoseconds Interval(double rate) {
  return duration_cast<nanoseconds>(duration<double>(1.0 / rate));
}

}  // namespace

RateLimiter::RateLimiter(base::Clock& clock, RateLimiterOptions options)
    : clock_(clock), options_(options) {}

double RateLimiter::rate() const { return rate_; }

// Accepted calls a second, over the time that they cover.
double RateLimiter::AcceptedRate() const {
  const BootTime now = clock_.Boot();
  const auto first = std::lower_bound(accepted_.begin(), accepted_.end(), now - kWindow);
  const auto count = static_cast<double>(accepted_.end() - first);
  if (count == 0) return 0;
  // A burst shorter than a second counts as a second's worth: limits are told per second.
  return count / std::max(Seconds(now - *first), 1.0);
}

double RateLimiter::Growth(double seconds) const {
  const double careful = Seconds(options_.careful);
  if (seconds <= careful) return options_.growth * seconds;
  // growth * 2^(t / doubling), until that is growth_max.
  const double doubling = Seconds(options_.doubling);
  const double fastest = doubling * std::log2(std::max(1.0, options_.growth_max / options_.growth));
  const double faster = std::min(seconds - careful, fastest);
  const double grown =
      options_.growth * doubling / std::numbers::ln2 * (std::exp2(faster / doubling) - 1.0);
  const double at_most = options_.growth_max * (seconds - careful - faster);
  return options_.growth * careful + grown + at_most;
}

void RateLimiter::Grow() {
  const BootTime from = decreased_at_ + options_.hold;
  const BootTime now = clock_.Boot();
  if (rate_ == 0 || now <= from) return;
  rate_ = std::min(learned_ * std::exp(Growth(Seconds(now - from))), kRateMax);
}

boost::asio::awaitable<absl::Status> RateLimiter::Admit(BootTime deadline) {
  for (;;) {
    const BootTime now = clock_.Boot();
    Grow();
    // A place in time is taken now, so that who comes later leaves later.
    const BootTime mine = std::max(next_, now);
    if (mine > deadline) {
      co_return absl::DeadlineExceededError("held back by the provider's rate limit");
    }
    if (rate_ > 0) next_ = mine + Interval(rate_);
    if (mine == now) co_return absl::OkStatus();
    const BootTime learned_at = decreased_at_;
    const absl::Status slept = co_await clock_.SleepUntil(mine);
    if (!slept.ok()) co_return slept;
    // A place of a rate that was found to be too high is none.
    if (learned_at == decreased_at_) co_return absl::OkStatus();
  }
}

void RateLimiter::OnAccepted(BootTime sent_at) {
  // Answers overtake each other.
  accepted_.insert(std::upper_bound(accepted_.begin(), accepted_.end(), sent_at), sent_at);
  const BootTime old = clock_.Boot() - kWindow;
  while (!accepted_.empty() && (accepted_.front() < old || accepted_.size() > kAcceptedMax)) {
    accepted_.pop_front();
  }
}

void RateLimiter::OnRefused(BootTime sent_at, std::optional<milliseconds> retry_after) {
  ++refusals_;
  const BootTime now = clock_.Boot();
  const milliseconds pause = std::min(retry_after.value_or(options_.pause), options_.pause_max);
  if (rate_ > 0 && sent_at <= decreased_at_) {
    if (retry_after) next_ = std::max(next_, now + pause);
    return;
  }
  double accepted = AcceptedRate();
  if (rate_ > 0) accepted = std::min(accepted, rate_);
  const double least = rate_ > 0 ? rate_ / 2 : options_.guess_min;
  rate_ = std::max({accepted * options_.decrease, least, options_.rate_min});
  learned_ = rate_;
  decreased_at_ = now;
  next_ = now + pause;
}

}  // namespace boxkeeper::providers
