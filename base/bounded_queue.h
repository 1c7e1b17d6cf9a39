// Many producers on any thread, one consumer on an executor: one wake-up per burst.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace boxkeeper::base {

struct BoundedQueueOptions {
  size_t bound = 10'000;
  size_t slice = 256;  // values consumed per turn of the executor
};

// Calls `consume` on `executor` for each pushed value, in order. A burst costs one post; after
// `slice` values the consumer posts itself again, so that other work on the executor gets its turn.
// Push, size and refused are thread-safe; destruction belongs to the executor's thread, when no
// producer can push any more. What is still queued then is dropped.
//
//   BoundedQueue<Request> queue(loop, {.bound = 10'000}, [this](Request r) { Handle(std::move(r));
//   }); grpc_thread: if (!queue.Push(std::move(request))) AnswerBusy();
template <typename T>
class BoundedQueue {
 public:
  using Options = BoundedQueueOptions;

  BoundedQueue(boost::asio::any_io_executor executor, Options options,
               std::function<void(T)> consume)
      : state_(std::make_shared<State>(std::move(executor), options, std::move(consume))) {}

  ~BoundedQueue() {
    std::deque<T> dropped;
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
    dropped.swap(state_->values);
    state_->waiting = 0;
  }

  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  // False if the queue is full: the refusal is counted and `value` not moved from.
  bool Push(T&& value) { return state_->Push(state_, std::move(value)); }

  size_t size() const { return state_->waiting.load(std::memory_order_relaxed); }
  uint64_t refused() const { return state_->refused.load(std::memory_order_relaxed); }

 private:
  struct State {
    State(boost::asio::any_io_executor e, Options o, std::function<void(T)> c)
        : executor(std::move(e)), options(o), consume(std::move(c)) {}

    bool Push(const std::shared_ptr<State>& self, T&& value) {
      bool wake = false;
      {
        std::lock_guard lock(mutex);
        if (closed || waiting.load(std::memory_order_relaxed) >= options.bound) {
          refused.fetch_add(1, std::memory_order_relaxed);
          return false;
        }
        values.push_back(std::move(value));
        waiting.fetch_add(1, std::memory_order_relaxed);
        wake = !std::exchange(awake, true);
      }
      if (wake) Wake(self);
      return true;
    }

    static void Wake(const std::shared_ptr<State>& self) {
      boost::asio::post(self->executor, [self] { self->Drain(self); });
    }

    // On the executor. Takes all at once, so that producers wait for the lock once per burst, not
    // per value.
    void Drain(const std::shared_ptr<State>& self) {
      if (taken.empty()) {
        std::lock_guard lock(mutex);
        if (values.empty() || closed) {
          awake = false;
          return;
        }
        taken.swap(values);
      }
      for (size_t i = 0; i < options.slice && !taken.empty(); ++i) {
        T value = std::move(taken.front());
        taken.pop_front();
        waiting.fetch_sub(1, std::memory_order_relaxed);
        consume(std::move(value));
        if (std::lock_guard lock(mutex); closed) return;  // `consume` destroyed the queue
      }
      Wake(self);  // More may wait; if not, the next turn goes to sleep.
    }

    boost::asio::any_io_executor executor;
    const Options options;
    std::function<void(T)> consume;
    std::deque<T> taken;  // executor's thread only
    std::mutex mutex;
    std::deque<T> values;
    bool awake = false;  // a Drain is posted or running
    bool closed = false;
    std::atomic<size_t> waiting{0};  // values and taken
    std::atomic<uint64_t> refused{0};
  };

  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base
