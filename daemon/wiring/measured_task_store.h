// A TaskStore whose commits are timed.
#pragma once

#include "base/clock.h"
#include "daemon/metrics/metrics.h"
#include "store/task_store.h"

namespace boxkeeper::daemon {

// All outlive it. On the loop, as the store itself.
class MeasuredTaskStore final : public store::TaskStore {
 public:
  MeasuredTaskStore(store::TaskStore& store, base::Clock& clock, Metrics& metrics)
      : store_(store), clock_(clock), metrics_(metrics) {}

  boost::asio::awaitable<absl::Status> Commit(const store::Batch& batch) override {
    const base::BootTime begun = clock_.Boot();
    absl::Status committed = co_await store_.Commit(batch);
    metrics_.store_commit.Observe(clock_.Boot() - begun);
    co_return committed;
  }
  absl::Status Load(
      const std::function<absl::Status(store::Position, std::string_view)>& visit) override {
    return store_.Load(visit);
  }
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(store::Position position) override {
    return store_.Read(position);
  }
  store::Position last_position() const override { return store_.last_position(); }
  bool HasRoomForNewTasks() const override { return store_.HasRoomForNewTasks(); }

 private:
  store::TaskStore& store_;
  base::Clock& clock_;
  Metrics& metrics_;
};

}  // namespace boxkeeper::daemon
