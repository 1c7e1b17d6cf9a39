#include "base/slots.h"

#include <algorithm>
#include <list>

#include "absl/strings/str_cat.h"
#include "base/wait_list.h"

namespace boxkeeper::base {

// One waiting coroutine; lies in its frame.
struct Waiter {
  explicit Waiter(Clock& clock) : changed(clock) {}
  bool granted = false;
  WaitList changed;
};

struct Slots::State {
  State(Clock& c, size_t l, size_t w) : clock(c), limit(std::max<size_t>(l, 1)), waiting_max(w) {}

  // Passes free places to those who have waited longest.
  void Grant() {
    while (used < limit && !waiters.empty()) {
      Waiter* first = waiters.front();
      waiters.pop_front();
      ++used;
      first->granted = true;
      first->changed.NotifyAll();
    }
  }

  Clock& clock;
  size_t limit;
  const size_t waiting_max;
  size_t used = 0;
  bool closed = false;
  std::list<Waiter*> waiters;
};

namespace {

// Takes the waiter off the list however its coroutine ends.
class Queued {
 public:
  Queued(std::list<Waiter*>& list, Waiter& waiter) : list_(list), waiter_(waiter) {
    list_.push_back(&waiter_);
  }
  ~Queued() { list_.remove(&waiter_); }
  Queued(const Queued&) = delete;
  Queued& operator=(const Queued&) = delete;

 private:
  std::list<Waiter*>& list_;
  Waiter& waiter_;
};

}  // namespace

Slots::Slot& Slots::Slot::operator=(Slot&& other) noexcept {
  if (this != &other) {
    Release();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void Slots::Slot::Release() {
  if (auto state = std::exchange(state_, nullptr)) {
    --state->used;
    state->Grant();
  }
}

Slots::Slots(Clock& clock, size_t limit, size_t waiting_max)
    : state_(std::make_shared<State>(clock, limit, waiting_max)) {}

Slots::~Slots() {
  state_->closed = true;
  for (Waiter* waiter : state_->waiters) waiter->changed.NotifyAll();
}

boost::asio::awaitable<absl::StatusOr<Slots::Slot>> Slots::Acquire(BootTime deadline) {
  auto state = state_;
  if (state->used < state->limit && state->waiters.empty()) {
    ++state->used;
    co_return Slot(std::move(state));
  }
  if (state->waiters.size() >= state->waiting_max) {
    co_return absl::ResourceExhaustedError(
        absl::StrCat(state->limit, " at work and ", state->waiting_max, " waiting already"));
  }
  Waiter waiter(state->clock);
  Queued queued(state->waiters, waiter);
  // Granted and cancelled at the same time: the place goes back by this.
  struct GiveBack {
    ~GiveBack() {
      if (waiter.granted) Slot(std::move(state));
    }
    Waiter& waiter;
    std::shared_ptr<State> state;
  } give_back{waiter, state};
  const absl::Status waited = co_await waiter.changed.Wait(deadline);
  if (waiter.granted) {
    waiter.granted = false;
    co_return Slot(std::move(state));
  }
  if (state->closed) co_return absl::CancelledError("the slots are gone");
  co_return waited;
}

void Slots::SetLimit(size_t limit) {
  state_->limit = std::max<size_t>(limit, 1);
  state_->Grant();
}

size_t Slots::used() const { return state_->used; }
size_t Slots::waiting() const { return state_->waiters.size(); }

}  // namespace boxkeeper::base
