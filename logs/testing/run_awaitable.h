// Runs one coroutine on virtual time until it is done.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::logs {

// The result; the coroutine must not wait for time to pass.
template <typename T>
T RunAwaitable(boost::asio::io_context& context, base::FakeClock& clock,
               boost::asio::awaitable<T> coroutine) {
  std::optional<T> result;
  boost::asio::co_spawn(context, std::move(coroutine),
                        [&result](std::exception_ptr error, T value) {
                          if (error) std::rethrow_exception(error);
                          result.emplace(std::move(value));
                        });
  clock.RunUntilIdle();
  CHECK(result.has_value(), "the coroutine ended without waiting for time");
  return *std::move(result);
}

}  // namespace boxkeeper::logs
