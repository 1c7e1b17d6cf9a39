// Blocking work from a coroutine of the loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace boxkeeper::daemon {

template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> RunHere(Work work) {
  co_return work();
}

// Runs `work` on `pool` and completes on the caller's executor with its result. Not cancellable.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> OnPool(boost::asio::any_io_executor pool,
                                                          Work work) {
  co_return co_await boost::asio::co_spawn(pool, RunHere(std::move(work)),
                                           boost::asio::use_awaitable);
}

}  // namespace boxkeeper::daemon
