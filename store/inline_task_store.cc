#include "store/inline_task_store.h"

#include <boost/asio/async_result.hpp>
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

void InlineTaskStore::AfterDelay(base::Alarm& alarm, const asio::any_io_executor& executor,
                                 std::function<void()> next) {
  if (options_.delay) {
    alarm.Set(clock_.Boot() + options_.delay(), std::move(next));
  } else {
    asio::post(executor, std::move(next));
  }
}

asio::awaitable<absl::Status> InlineTaskStore::Commit(const Batch& batch) {
  auto executor = co_await asio::this_coro::executor;
  std::unique_ptr<base::Alarm> alarm = clock_.NewAlarm(executor);
  auto initiate = [&](auto handler) {
    // std::function wants to be copyable. The pending callback owns the handler, which owns this
    // frame.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    AfterDelay(*alarm, executor, [this, &batch, executor, shared, alarm = alarm.get()] {
      absl::Status status = log_->Commit(batch);
      if (log_->wal_bytes() >= options_.checkpoint_bytes) {
        base::LogIfError(log_->Checkpoint(), "the next commit fails and says so");
      }
      AfterDelay(*alarm, executor, [shared, status] { std::move (*shared)(status); });
    });
  };
  absl::Status status =
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(absl::Status)>(
          initiate, asio::use_awaitable);
  co_return status;
}

absl::Status InlineTaskStore::Load(
    const std::function<absl::Status(Position, std::string_view)>& visit) {
  return log_->Load(visit);
}

asio::awaitable<absl::StatusOr<std::string>> InlineTaskStore::Read(Position position) {
  auto executor = co_await asio::this_coro::executor;
  std::unique_ptr<base::Alarm> alarm = clock_.NewAlarm(executor);
  using Record = absl::StatusOr<std::string>;
  auto initiate = [&](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    AfterDelay(*alarm, executor,
               [this, position, shared] { std::move (*shared)(log_->Read(position)); });
  };
  Record record = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Record)>(
      initiate, asio::use_awaitable);
  co_return record;
}

bool InlineTaskStore::HasRoomForNewTasks() const {
  log_->SampleSpace();
  return log_->HasRoomForNewTasks();
}

}  // namespace boxkeeper::store
