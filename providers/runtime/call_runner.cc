#include "providers/runtime/call_runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace boxkeeper::providers {

namespace asio = boost::asio;
using base::BootTime;
using std::chrono::milliseconds;

namespace {

constexpr size_t kClasses = static_cast<size_t>(CallClass::kCount);
// What a create is told to wait for while another one tries whether the provider is back.
constexpr milliseconds kTrialWait{1'000};

const char* NameOf(size_t call_class) {
  constexpr std::array<const char*, kClasses> kNames{"create", "status", "cleanup"};
  return kNames[call_class];
}

milliseconds RetryAfter(const pb::ProviderError& error) {
  return std::chrono::seconds(error.retry_after().seconds()) +
         milliseconds(error.retry_after().nanos() / 1'000'000);
}

absl::Status Held(pb::ErrorClass error_class, const std::string& why,
                  std::optional<milliseconds> retry_after = std::nullopt) {
  pb::ProviderError error = MakeProviderError(error_class, why, true);
  if (retry_after) {
    error.mutable_retry_after()->set_seconds(retry_after->count() / 1000);
    error.mutable_retry_after()->set_nanos(static_cast<int32_t>(retry_after->count() % 1000) *
                                           1'000'000);
  }
  return MakeError(error);
}

// "Not certain yet" and "I cannot" are answers, not failures.
bool IsAnswer(const absl::Status& status) {
  return status.ok() || absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status);
}

// The provider, or something on the way to it, is not well: another time it may be.
bool IsSick(const pb::ProviderError& error) {
  return error.error_class() == pb::TRANSIENT || error.error_class() == pb::PROTOCOL;
}

}  // namespace

struct CallRunner::State {
  struct Class {
    Class(base::Clock& clock, int limit, const CallRunnerOptions& options)
        : slots(clock, static_cast<size_t>(std::max(1, limit)), options.waiting_max),
          limiter(clock, options.rate) {}
    base::Slots slots;
    RateLimiter limiter;
    CallCounters counters;
  };

  State(base::Clock& a_clock, base::Rng& a_rng, const CallRunnerOptions& some_options)
      : clock(a_clock),
        rng(a_rng),
        options(some_options),
        classes{Class(clock, options.limits.create, options),
                Class(clock, options.limits.status, options),
                Class(clock, options.limits.cleanup, options)},
        breaker(clock, rng, options.breaker) {}

  Class& Of(const CallPolicy& policy) { return classes[static_cast<size_t>(policy.call_class)]; }

  absl::Status BreakerOpen() {
    const auto left = std::chrono::duration_cast<milliseconds>(breaker.retry_at() - clock.Boot());
    return Held(pb::TRANSIENT,
                absl::StrCat("creates are suspended: the provider is not well: ", last_failure),
                std::max(left, kTrialWait));
  }

  base::Clock& clock;
  base::Rng& rng;
  CallRunnerOptions options;
  std::array<Class, kClasses> classes;
  CircuitBreaker breaker;
  std::string last_failure;  // the words of the last failed create
};

CallRunner::Pass::Pass(std::shared_ptr<State> state, CallPolicy policy, base::Slots::Slot slot)
    : state_(std::move(state)),
      policy_(policy),
      slot_(std::move(slot)),
      sent_at_(state_->clock.Boot()) {}

CallRunner::Pass::~Pass() {
  if (state_ != nullptr && policy_.breaker) state_->breaker.OnAbandoned();
}

void CallRunner::Pass::Report(const absl::Status& answer) {
  const std::shared_ptr<State> state = std::move(state_);
  slot_ = base::Slots::Slot();
  State::Class& mine = state->Of(policy_);
  if (absl::IsCancelled(answer)) {
    if (policy_.breaker) state->breaker.OnAbandoned();
    return;
  }
  const pb::ProviderError error = IsAnswer(answer) ? pb::ProviderError() : ErrorOf(answer);
  if (error.error_class() == pb::RATE) {
    ++mine.counters.refused;
    std::optional<milliseconds> wait;
    if (error.has_retry_after()) wait = RetryAfter(error);
    mine.limiter.OnRefused(sent_at_, wait);
  } else {
    if (!IsAnswer(answer)) ++mine.counters.failed;
    // What got no answer tells nothing about the rate.
    if (error.error_class() != pb::TRANSIENT) mine.limiter.OnAccepted(sent_at_);
  }
  if (!policy_.breaker) return;
  if (!IsAnswer(answer) && IsSick(error)) {
    state->last_failure = error.message();
    state->breaker.OnFailure();
  } else {
    state->breaker.OnSuccess();
  }
}

CallRunner::CallRunner(base::Clock& clock, base::Rng& rng, const CallRunnerOptions& options)
    : state_(std::make_shared<State>(clock, rng, options)) {}

asio::awaitable<absl::StatusOr<CallRunner::Pass>> CallRunner::Enter(std::shared_ptr<State> state,
                                                                    CallPolicy policy,
                                                                    BootTime deadline) {
  State::Class& mine = state->Of(policy);
  if (policy.breaker && state->breaker.state() == CircuitBreaker::State::kOpen) {
    ++mine.counters.held_back;
    co_return state->BreakerOpen();
  }
  auto slot = co_await mine.slots.Acquire(deadline);
  if (!slot.ok()) {
    if (absl::IsCancelled(slot.status())) co_return slot.status();
    ++mine.counters.held_back;
    // Where the rate is limited that is why; else calls hang.
    co_return Held(mine.limiter.rate() > 0 ? pb::RATE : pb::TRANSIENT,
                   absl::StrCat("waited for a place: ", std::string(slot.status().message())));
  }
  const absl::Status admitted = co_await mine.limiter.Admit(deadline);
  if (!admitted.ok()) {
    if (absl::IsCancelled(admitted)) co_return admitted;
    ++mine.counters.held_back;
    co_return Held(pb::RATE, std::string(admitted.message()));
  }
  if (policy.breaker && !state->breaker.MayCall()) {
    ++mine.counters.held_back;
    co_return state->BreakerOpen();
  }
  ++mine.counters.tries;
  co_return Pass(state, policy, *std::move(slot));
}

std::optional<BootTime> CallRunner::NextTry(State& state, const CallPolicy& policy,
                                            const absl::Status& answer, int tries,
                                            BootTime deadline) {
  if (absl::IsCancelled(answer) || IsAnswer(answer)) return std::nullopt;
  const pb::ProviderError error = ErrorOf(answer);
  if (!error.proves_no_effect() && !policy.repeatable) return std::nullopt;
  const BootTime now = state.clock.Boot();
  BootTime next = now;
  if (IsSick(error)) {
    if (tries >= state.options.tries_max) return std::nullopt;
    next += std::max<base::BootClock::duration>(
        base::BackoffFor(state.options.backoff, tries - 1, state.rng), RetryAfter(error));
  } else if (error.error_class() != pb::RATE) {
    return std::nullopt;  // it would be the same again; a RATE waits in the limiter
  }
  if (next >= deadline) return std::nullopt;
  ++state.Of(policy).counters.repeats;
  return next;
}

BootTime CallRunner::TryDeadline(State& state, const CallPolicy& policy, BootTime deadline) {
  if (policy.long_try) return deadline;
  return std::min(deadline, state.clock.Boot() + state.options.limits.call_timeout);
}

asio::awaitable<absl::Status> CallRunner::Sleep(std::shared_ptr<State> state, BootTime until) {
  if (until <= state->clock.Boot()) co_return absl::OkStatus();
  co_return co_await state->clock.SleepUntil(until);
}

absl::Status CallRunner::WithoutProof(const absl::Status& status) {
  pb::ProviderError error = ErrorOf(status);
  if (!error.proves_no_effect()) return status;
  error.set_proves_no_effect(false);
  return MakeError(error);
}

void CallRunner::SetLimits(const CallLimits& limits) {
  state_->options.limits = limits;
  const std::array<int, kClasses> places{limits.create, limits.status, limits.cleanup};
  for (size_t i = 0; i < kClasses; ++i) {
    state_->classes[i].slots.SetLimit(static_cast<size_t>(std::max(1, places[i])));
  }
}

const CallCounters& CallRunner::counters(CallClass call_class) const {
  return state_->classes[static_cast<size_t>(call_class)].counters;
}

CircuitBreaker::State CallRunner::breaker() const { return state_->breaker.state(); }

double CallRunner::rate(CallClass call_class) const {
  return state_->classes[static_cast<size_t>(call_class)].limiter.rate();
}

size_t CallRunner::in_flight(CallClass call_class) const {
  return state_->classes[static_cast<size_t>(call_class)].slots.used();
}

std::vector<std::string> CallRunner::warnings() const {
  std::vector<std::string> warnings;
  if (state_->breaker.state() != CircuitBreaker::State::kClosed) {
    warnings.push_back("creates are suspended: the provider is not well: " + state_->last_failure);
  }
  for (size_t i = 0; i < kClasses; ++i) {
    const double rate = state_->classes[i].limiter.rate();
    if (rate == 0) continue;
    warnings.push_back(absl::StrFormat("%s calls are held at %.1f a second by the provider's 429",
                                       NameOf(i), rate));
  }
  return warnings;
}

}  // namespace boxkeeper::providers
