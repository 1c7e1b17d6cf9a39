// An ObjectStore in memory that can be told to fail.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "logs/object_store.h"

namespace boxkeeper::logs {

// Behaves as object_store.h says. Survives the daemons that are built on it.
class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(bool can_append) : can_append_(can_append) {}

  // Not OK: every call fails with it and does nothing.
  absl::Status down;
  // The n-th change from now on (0 is the next one) fails with `error`: before it has any effect,
  // or, if `after_commit`, with its effect: the answer is lost.
  void FailChange(int n, absl::Status error, bool after_commit);
  // What WriteAt wrote and no Sync confirmed is lost.
  void LosePower();

  int changes() const { return changes_; }  // asked for
  // By name; nullopt: not there.
  std::optional<std::string> Content(const std::string& name) const;
  std::vector<std::string> Names() const;  // sorted

  const std::string& url() const override { return url_; }
  bool can_append() const override { return can_append_; }
  boost::asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset,
                                               std::string data) override;
  boost::asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) override;
  boost::asio::awaitable<absl::Status> Put(Piece piece) override;
  boost::asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) override;
  boost::asio::awaitable<absl::Status> Remove(std::string name) override;
  boost::asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                           size_t max_bytes) override;
  boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(
      std::string prefix) override;
  boost::asio::awaitable<absl::Status> Check() override;

 private:
  struct Object {
    std::string content;
    std::optional<std::string> durable;
  };
  struct Failure {
    int at = 0;
    absl::Status error;
    bool after_commit = false;
  };
  template <typename Effect>
  absl::Status Change(Effect effect);

  const std::string url_ = "memory://logs";
  const bool can_append_;
  int changes_ = 0;
  std::optional<Failure> failure_;
  std::map<std::string, Object> objects_;
};

}  // namespace boxkeeper::logs
