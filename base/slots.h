// A counting semaphore for coroutines: at most so many at a time, the rest in the order they came.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/clock.h"

namespace boxkeeper::base {

// On one executor's thread. `clock` outlives the slots and those who wait; the object itself may go
// first: who waits then ends with kCancelled, and what is held stays valid.
//
//   auto slot = co_await slots.Acquire(deadline);
//   CO_RETURN_IF_ERROR(slot.status());
//   ... until `slot` goes out of scope
class Slots {
  struct State;

 public:
  // One place, given back by the destructor.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { Release(); }

   private:
    friend class Slots;
    explicit Slot(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void Release();
    std::shared_ptr<State> state_;
  };

  // `limit` at a time (at least 1); `waiting_max` more may wait.
  Slots(Clock& clock, size_t limit, size_t waiting_max);
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // kDeadlineExceeded at `deadline`, kResourceExhausted at once when too many wait already,
  // kCancelled when the cancellation slot is used.
  boost::asio::awaitable<absl::StatusOr<Slot>> Acquire(BootTime deadline);

  // More let waiters in at once; fewer take nothing away.
  void SetLimit(size_t limit);

  size_t used() const;
  size_t waiting() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base
