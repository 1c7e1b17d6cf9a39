#include "store/threaded_task_store.h"

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"

namespace boxkeeper::store {

namespace asio = boost::asio;

absl::StatusOr<std::unique_ptr<ThreadedTaskStore>> ThreadedTaskStore::Create(
    base::FileSystem& fs, ThreadedTaskStoreOptions options) {
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteLog> log, SqliteLog::Open(fs, options.log));
  std::unique_ptr<ThreadedTaskStore> store(
      new ThreadedTaskStore(std::move(log), std::move(options)));
  store->thread_ = std::thread([s = store.get()] { s->Run(); });
  return store;
}

ThreadedTaskStore::ThreadedTaskStore(std::unique_ptr<SqliteLog> log,
                                     ThreadedTaskStoreOptions options)
    : options_(std::move(options)), log_(std::move(log)), last_position_(log_->last_position()) {}

ThreadedTaskStore::~ThreadedTaskStore() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

template <typename Result, typename Work>
asio::awaitable<Result> ThreadedTaskStore::OnThread(Work work) {
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [&](auto handler) {
    // Tracked: the loop must not run out of work while the thread has some of its own.
    auto back = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    Push([handler = std::move(handler), back = std::move(back), work = std::move(work)]() mutable {
      auto finish = [h = std::move(handler), result = Result(work())]() mutable {
        std::move(h)(std::move(result));
      };
      asio::post(back, std::move(finish));
    });
  };
  Result result = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Result)>(
      initiate, asio::use_awaitable);
  co_return result;
}

asio::awaitable<absl::Status> ThreadedTaskStore::Commit(const Batch& batch) {
  auto work = [this, &batch] { return log_->Commit(batch); };
  absl::Status status = co_await OnThread<absl::Status>(std::move(work));
  co_return status;
}

asio::awaitable<absl::StatusOr<std::string>> ThreadedTaskStore::Read(Position position) {
  auto work = [this, position] { return log_->Read(position); };
  absl::StatusOr<std::string> record =
      co_await OnThread<absl::StatusOr<std::string>>(std::move(work));
  co_return record;
}

absl::Status ThreadedTaskStore::Load(
    const std::function<absl::Status(Position, std::string_view)>& visit) {
  // On the caller's thread, with the store thread kept at rest: it takes no job while the mutex is
  // held.
  std::lock_guard lock(mutex_);
  return log_->Load(visit);
}

void ThreadedTaskStore::Push(Job job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void ThreadedTaskStore::Run() {
  using std::chrono::steady_clock;
  constexpr auto kSampleInterval = std::chrono::seconds(1);
  auto next_sample = steady_clock::now() + kSampleInterval;
  std::unique_lock lock(mutex_);
  while (true) {
    auto wake_at = next_sample;
    bool wants_checkpoint = log_->wal_bytes() >= options_.checkpoint_idle_bytes;
    if (wants_checkpoint) {
      auto idle_until =
          steady_clock::now() + std::chrono::milliseconds(options_.checkpoint_idle_ms);
      wake_at = std::min(wake_at, idle_until);
    }
    bool idle = !wake_.wait_until(lock, wake_at, [&] { return !jobs_.empty() || stopping_; });
    RunJobs(lock);
    if (stopping_) return;
    // Without the lock: the loop must never wait for the disk.
    lock.unlock();
    if (idle && wants_checkpoint) Checkpoint();
    if (auto now = steady_clock::now(); now >= next_sample) {
      std::lock_guard log_lock(log_mutex_);
      log_->SampleSpace();
      next_sample = now + kSampleInterval;
    }
    lock.lock();
  }
}

void ThreadedTaskStore::RunJobs(std::unique_lock<std::mutex>& lock) {
  while (!jobs_.empty()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    {
      std::lock_guard log_lock(log_mutex_);
      job();
    }
    if (log_->wal_bytes() >= options_.checkpoint_bytes) Checkpoint();
    lock.lock();
  }
}

// A failure here is met again, as the log's lasting error, by the next commit.
void ThreadedTaskStore::Checkpoint() {
  std::lock_guard log_lock(log_mutex_);
  base::LogIfError(log_->Checkpoint(), "the next commit fails and says so");
}

}  // namespace boxkeeper::store
