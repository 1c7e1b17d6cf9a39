// Runs blocking work on the pool and comes back to the loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::base {

// Completes on the caller's executor with what `work` returned there: an absl::Status or StatusOr.
// An exception of `work` becomes kInternal. Not cancellable: `work` is short. The pool must be
// joined before the loop is destroyed.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> RunOn(boost::asio::any_io_executor pool,
                                                          Work work) {
  namespace asio = boost::asio;
  using Result = std::invoke_result_t<Work&>;
  auto loop = co_await asio::this_coro::executor;
  auto initiate = [&pool, &work, &loop](auto handler) {
    auto job = [handler = std::move(handler), work = std::move(work),
                guard = asio::make_work_guard(loop)]() mutable {
      Result result = [&work]() -> Result {
        try {
          return work();
        } catch (const std::exception& error) {
          return Result(absl::InternalError(absl::StrCat("on the pool: ", error.what())));
        }
      }();
      auto finish = [handler = std::move(handler), result = std::move(result)]() mutable {
        std::move(handler)(std::move(result));
      };
      asio::post(guard.get_executor(), std::move(finish));
    };
    asio::post(pool, std::move(job));
  };
  Result result = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Result)>(
      initiate, asio::use_awaitable);
  co_return result;
}

}  // namespace boxkeeper::base
