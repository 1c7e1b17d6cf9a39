// The border between gRPC's threads and the event loop.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/bounded_queue.h"
#include "daemon/metrics/metrics.h"

namespace boxkeeper::daemon {

// Carries work to the loop through one bounded queue with one wake-up per burst, and answers back
// to a few threads that serialise and send them, so that the loop does neither. Owns those threads.
// `ToLoop` and the budget may be used from any thread, the rest only on the loop. Stop it after the
// gRPC server has shut down and before the loop is destroyed.
class LoopBridge {
 public:
  using Job = absl::AnyInvocable<void()>;

  struct Options {
    size_t queue_max = 16384;               // requests that wait for the loop
    int64_t request_bytes_max = 256 << 20;  // of all requests between parsing and answer
    size_t senders = 2;                     // threads that serialise and send
  };

  LoopBridge(boost::asio::io_context& loop, Metrics& metrics, Options options);
  ~LoopBridge();

  // Runs `job` on the loop, in the order of these calls. False (counted as a refusal, `job`
  // destroyed): the queue is full.
  [[nodiscard]] bool ToLoop(Job job);
  // For what must not be lost: cancellations and completed writes. At most a few per open call, so
  // bounded by those. May overtake what waits in ToLoop.
  void ToLoopAlways(Job job);

  // Takes `bytes` of the budget for requests. False (counted as a refusal): overloaded; nothing was
  // taken.
  [[nodiscard]] bool Reserve(int64_t bytes);
  void Release(int64_t bytes);

  // On the loop: runs `job` on a sending thread, soon. Two jobs may run at once and in either
  // order.
  void OffLoop(Job job);

  // Waits for the jobs given to OffLoop. Further ones are dropped.
  void Stop();

  boost::asio::io_context::executor_type executor() const { return loop_.get_executor(); }

 private:
  void Flush();

  boost::asio::io_context& loop_;
  Metrics& metrics_;
  const Options options_;
  std::atomic<int64_t> request_bytes_{0};
  base::BoundedQueue<Job> requests_;
  base::BoundedQueue<Job> signals_;
  std::vector<Job> outbox_;  // the loop's
  boost::asio::thread_pool senders_;
};

}  // namespace boxkeeper::daemon
