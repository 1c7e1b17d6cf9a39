#include "store/inline_task_store.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"

namespace boxkeeper::store {

namespace asio = boost::asio;

absl::StatusOr<std::unique_ptr<InlineTaskStore>> InlineTaskStore::Create(
    base::Clock& clock, base::FileSystem& fs, InlineTaskStoreOptions options) {
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteLog> log, SqliteLog::Open(fs, options.log));
  return std::unique_ptr<InlineTaskStore>(
      new InlineTaskStore(clock, std::move(log), std::move(options)));
}

InlineTaskStore::InlineTaskStore(base::Clock& clock, std::unique_ptr<SqliteLog> log,
                                 InlineTaskStoreOptions options)
    : clock_(clock),
      log_(std::move(log)),
      options_(std::move(options)),
      last_position_(log_->last_position()) {}

asio::awaitable<void> InlineTaskStore::Pause() {
  if (options_.delay) {
    absl::Status slept = co_await clock_.SleepUntil(clock_.Boot() + options_.delay());
    // A cancelled caller does not cancel its commit.
    slept.IgnoreError();
  } else {
    auto executor = co_await asio::this_coro::executor;
    co_await asio::post(executor, asio::use_awaitable);
  }
}

asio::awaitable<absl::Status> InlineTaskStore::Commit(const Batch& batch) {
  co_await Pause();
  absl::Status status = log_->Commit(batch);
  if (log_->wal_bytes() >= options_.checkpoint_bytes) {
    base::LogIfError(log_->Checkpoint(), "the next commit fails and says so");
  }
  co_await Pause();
  co_return status;
}

absl::Status InlineTaskStore::Load(
    const std::function<absl::Status(Position, std::string_view)>& visit) {
  return log_->Load(visit);
}

asio::awaitable<absl::StatusOr<std::string>> InlineTaskStore::Read(Position position) {
  co_await Pause();
  absl::StatusOr<std::string> record = log_->Read(position);
  co_return record;
}

bool InlineTaskStore::HasRoomForNewTasks() const {
  log_->SampleSpace();
  return log_->HasRoomForNewTasks();
}

}  // namespace boxkeeper::store
