#include "providers/runtime/circuit_breaker.h"

namespace boxkeeper::providers {

CircuitBreaker::CircuitBreaker(base::Clock& clock, base::Rng& rng, CircuitBreakerOptions options)
    : clock_(clock), options_(options), backoff_(options.open, rng) {}

CircuitBreaker::State CircuitBreaker::state() const {
  if (!open_) return State::kClosed;
  return trying_ || clock_.Boot() >= retry_at_ ? State::kHalfOpen : State::kOpen;
}

bool CircuitBreaker::MayCall() {
  if (!open_) return true;
  if (trying_ || clock_.Boot() < retry_at_) return false;
  trying_ = true;
  return true;
}

void CircuitBreaker::OnSuccess() {
  failures_ = 0;
  open_ = false;
  trying_ = false;
  backoff_.Reset();
}

void CircuitBreaker::OnFailure() {
  ++failures_;
  // While open, answers to calls that left before say nothing new.
  if (open_ && !trying_) return;
  if (!open_ && failures_ < options_.failures_max) return;
  open_ = true;
  trying_ = false;
  retry_at_ = clock_.Boot() + backoff_.Next();
}

void CircuitBreaker::OnAbandoned() { trying_ = false; }

}  // namespace boxkeeper::providers
