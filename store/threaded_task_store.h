// The store of the daemon: a SqliteLog on a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "store/sqlite_log.h"
#include "store/task_store.h"

namespace boxkeeper::store {

struct ThreadedTaskStoreOptions {
  SqliteLogOptions log;
  // The WAL is moved into the database when nothing was asked for `checkpoint_idle_ms` and it holds
  // more than `checkpoint_idle_bytes`, or between two commits when it holds more than
  // `checkpoint_bytes`.
  int checkpoint_idle_ms = 100;
  uint64_t checkpoint_idle_bytes = 1 << 20;
  uint64_t checkpoint_bytes = 64 << 20;
};

// Owns the log and the thread. Methods are called on the loop; coroutines resume on their own
// executor. Cancelling one has no effect: what was handed over is committed. Stopped by its
// destruction, which finishes what was handed over, checkpoints and joins the thread; so it goes
// before the io_context and after the last caller was joined.
class ThreadedTaskStore final : public TaskStore {
 public:
  // Blocking; errors as SqliteLog::Open. `fs` outlives it.
  static absl::StatusOr<std::unique_ptr<ThreadedTaskStore>> Create(
      base::FileSystem& fs, ThreadedTaskStoreOptions options);
  ~ThreadedTaskStore() override;

  boost::asio::awaitable<absl::Status> Commit(const Batch& batch) override;
  absl::Status Load(const std::function<absl::Status(Position, std::string_view)>& visit) override;
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(Position position) override;
  bool HasRoomForNewTasks() const override { return log_->HasRoomForNewTasks(); }

  Position last_position() const override { return last_position_; }

 private:
  using Job = absl::AnyInvocable<void()>;

  ThreadedTaskStore(std::unique_ptr<SqliteLog> log, ThreadedTaskStoreOptions options);

  // Runs `work` on the store thread; its result is the coroutine's.
  template <typename Result, typename Work>
  boost::asio::awaitable<Result> OnThread(Work work);
  void Push(Job job);
  void Run();
  void RunJobs(std::unique_lock<std::mutex>& lock);
  void Checkpoint();

  const ThreadedTaskStoreOptions options_;
  std::unique_ptr<SqliteLog> log_;
  const Position last_position_;

  std::mutex log_mutex_;  // around each use of log_; never taken by Commit and Read's callers
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;  // bounded by the callers: one Commit, and the reads in flight
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace boxkeeper::store
