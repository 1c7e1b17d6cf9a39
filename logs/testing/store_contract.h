// What every ObjectStore must do, as cases that run against a fake server or a real one.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "logs/object_store.h"

namespace boxkeeper::logs {

// A store under test and the loop it lives on. Real sockets, so the loop is run until the answer is
// there; whose clock is virtual gives `idle`, which lets time pass.
class StoreBench {
 public:
  StoreBench(ObjectStore& store, boost::asio::io_context& loop, std::function<void()> idle = {})
      : store_(store), loop_(loop), idle_(std::move(idle)) {}

  ObjectStore& store() { return store_; }
  template <typename T>
  T Run(boost::asio::awaitable<T> coroutine);

  absl::Status Write(const std::string& name, uint64_t offset, const std::string& data) {
    return Run(store_.WriteAt(name, offset, data));
  }
  // The whole object, read in small steps; the error's text if it cannot be read.
  std::string Content(const std::string& name);

  // Of names, so that a real store can be used by several runs at a time.
  std::string folder = "contract";
  // Of the largest piece: more than the store puts in one request.
  size_t large_bytes = 256 * 1024;

 private:
  ObjectStore& store_;
  boost::asio::io_context& loop_;
  const std::function<void()> idle_;
};

struct StoreCase {
  std::string name;
  std::function<void(StoreBench&)> run;  // with gtest's expectations
};
// For testing::ValuesIn; those for growing objects only where `can_append`. A case uses objects
// whose names begin with `<folder>/<its name>/`, and removes them.
std::vector<StoreCase> StoreCases(bool can_append);

// A piece with that content, and one whose bytes are made while it is read.
Piece PieceOf(std::string name, const std::string& content);
Piece LargePiece(std::string name, size_t size);
// What LargePiece contains.
std::string LargeContent(size_t size);

template <typename T>
T StoreBench::Run(boost::asio::awaitable<T> coroutine) {
  std::optional<T> result;
  std::exception_ptr failure;
  boost::asio::co_spawn(loop_, std::move(coroutine), [&](std::exception_ptr error, T value) {
    failure = error;
    result.emplace(std::move(value));
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(3);
  while (!result) {
    CHECK(std::chrono::steady_clock::now() < until, "the store answers within three minutes");
    loop_.restart();
    if (loop_.run_one_for(std::chrono::milliseconds(20)) == 0 && idle_) idle_();
  }
  if (failure) std::rethrow_exception(failure);
  return *std::move(result);
}

}  // namespace boxkeeper::logs
