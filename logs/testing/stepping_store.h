// Any ObjectStore, with a chance to stand still before and after each effect, or to fail.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "logs/object_store.h"

namespace boxkeeper::logs {

class SteppingStore final : public ObjectStore {
 public:
  explicit SteppingStore(ObjectStore& real) : real_(real) {}

  // Called before and after each change; may wait for ever. Null: nothing.
  std::function<boost::asio::awaitable<void>()> at_step;
  absl::Status failure;  // not OK: every change fails with it
  int changes = 0;       // asked for

  const std::string& url() const override { return real_.url(); }
  bool can_append() const override { return real_.can_append(); }
  boost::asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset,
                                               std::string data) override {
    return Change(real_.WriteAt(std::move(name), offset, std::move(data)));
  }
  boost::asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) override {
    return Change(real_.Sync(std::move(name), size));
  }
  boost::asio::awaitable<absl::Status> Put(Piece piece) override {
    return Change(real_.Put(std::move(piece)));
  }
  boost::asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) override {
    return Change(real_.Extend(from, std::move(tail)));
  }
  boost::asio::awaitable<absl::Status> Remove(std::string name) override {
    return Change(real_.Remove(std::move(name)));
  }
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                           size_t max_bytes) override {
    return real_.Read(std::move(name), offset, max_bytes);
  }
  boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(
      std::string prefix) override {
    return real_.List(std::move(prefix));
  }
  boost::asio::awaitable<absl::Status> Check() override { return real_.Check(); }

 private:
  boost::asio::awaitable<absl::Status> Change(boost::asio::awaitable<absl::Status> change) {
    ++changes;
    if (!failure.ok()) co_return failure;
    if (at_step) co_await at_step();
    absl::Status status = co_await std::move(change);
    if (at_step) co_await at_step();
    co_return status;
  }

  ObjectStore& real_;
};

}  // namespace boxkeeper::logs
