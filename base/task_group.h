// Structured concurrency: the only place that spawns coroutines without awaiting them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"

namespace boxkeeper::base {

// Counts its children, carries their cancellation and logs what they throw. Everything on the
// executor's thread. Shutdown: stop spawning, Cancel, `co_await Join(deadline)`. Destroyed with
// children alive, it cancels them; they end on their own and must not use what they were given by
// reference: join first.
//
//   group.Spawn(task_id, [this, id] { return RunTask(id); });
class TaskGroup {
 public:
  // `clock` outlives the group.
  TaskGroup(Clock& clock, boost::asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `run` soon, on the executor; the callable lives until its coroutine has ended, so
  // captures are safe. `id` is said in the log if an exception escapes. After Cancel new children
  // start cancelled: their first wait ends at once.
  void Spawn(std::string id, std::function<boost::asio::awaitable<void>()> run);

  // Emits cancellation to all children; idempotent. They end when their waits honour it. Only from
  // a handler of the executor: Asio 1.26 else posts the signal with a pointer into a child that may
  // have ended by then.
  void Cancel();

  // Completes with OK when no child is left, or kDeadlineExceeded at `deadline` with how many are.
  // Honours cancellation (kCancelled). May be called again.
  boost::asio::awaitable<absl::Status> Join(BootTime deadline);

  size_t size() const;
  bool cancelled() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base
