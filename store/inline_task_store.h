// The store of the simulator and of tests: a SqliteLog on the loop itself, on virtual time.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "store/sqlite_log.h"
#include "store/task_store.h"

namespace boxkeeper::store {

struct InlineTaskStoreOptions {
  SqliteLogOptions log;
  uint64_t checkpoint_bytes = 1 << 20;
  // How long each half of a commit takes: it sleeps before the write and again before the answer,
  // so that a kill can come between any two. Null: no sleep, but never completes within the call.
  std::function<base::BootClock::duration()> delay = nullptr;
};

class InlineTaskStore final : public TaskStore {
 public:
  // Errors as SqliteLog::Open. `fs` and `clock` outlive it; it outlives its coroutines' frames, not
  // their completion.
  static absl::StatusOr<std::unique_ptr<InlineTaskStore>> Create(base::Clock& clock,
                                                                 base::FileSystem& fs,
                                                                 InlineTaskStoreOptions options);

  boost::asio::awaitable<absl::Status> Commit(const Batch& batch) override;
  absl::Status Load(const std::function<absl::Status(Position, std::string_view)>& visit) override;
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(Position position) override;
  bool HasRoomForNewTasks() const override;
  Position last_position() const override { return last_position_; }

  SqliteLog& log() { return *log_; }

 private:
  InlineTaskStore(base::Clock& clock, std::unique_ptr<SqliteLog> log,
                  InlineTaskStoreOptions options);
  void AfterDelay(base::Alarm& alarm, const boost::asio::any_io_executor& executor,
                  std::function<void()> next);

  base::Clock& clock_;
  std::unique_ptr<SqliteLog> log_;
  const InlineTaskStoreOptions options_;
  const Position last_position_;
};

}  // namespace boxkeeper::store
