// The real store, with an observer of what it is given and what it has taken.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "store/task_store.h"
#include "tests/sim/durable.h"

namespace boxkeeper::sim {

class ObservedStore final : public store::TaskStore {
 public:
  ObservedStore(store::TaskStore& store, Durable& durable) : store_(store), durable_(durable) {}

  boost::asio::awaitable<absl::Status> Commit(const store::Batch& batch) override {
    durable_.Begun(batch);
    absl::Status status = co_await store_.Commit(batch);
    if (status.ok()) durable_.Committed(batch);
    if (absl::IsResourceExhausted(status)) durable_.Refused();
    co_return status;
  }
  absl::Status Load(
      const std::function<absl::Status(store::Position, std::string_view)>& visit) override {
    return store_.Load(visit);
  }
  store::Position last_position() const override { return store_.last_position(); }
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(store::Position position) override {
    return store_.Read(position);
  }
  bool HasRoomForNewTasks() const override { return store_.HasRoomForNewTasks(); }

 private:
  store::TaskStore& store_;
  Durable& durable_;
};

}  // namespace boxkeeper::sim
