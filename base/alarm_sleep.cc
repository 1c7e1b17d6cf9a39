#include "base/alarm_sleep.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;

// The one completion of a sleep. Owned by the alarm's callback only: the callback owns the handler,
// which owns the coroutine, which owns the alarm; so whoever drops the pending callback frees all
// of them.
template <typename Handler>
struct Sleep {
  Sleep(Handler h, asio::any_io_executor e) : handler(std::move(h)), executor(std::move(e)) {}

  void Complete(absl::Status status) {
    if (!handler) return;
    auto finish = [h = std::move(*handler), s = std::move(status)]() mutable {
      std::move(h)(std::move(s));
    };
    handler.reset();
    asio::post(executor, std::move(finish));
  }

  std::optional<Handler> handler;
  asio::any_io_executor executor;
};

}  // namespace

asio::awaitable<absl::Status> SleepByAlarm(Clock& clock, BootTime t) {
  auto executor = co_await asio::this_coro::executor;
  std::unique_ptr<Alarm> alarm = clock.NewAlarm(executor);
  auto initiate = [&](auto handler) {
    using Handler = decltype(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto sleep = std::make_shared<Sleep<Handler>>(std::move(handler), executor);
    if (slot.is_connected()) {
      std::weak_ptr<Sleep<Handler>> weak = sleep;
      slot.assign([weak](asio::cancellation_type) {
        if (auto alive = weak.lock()) alive->Complete(absl::CancelledError("sleep cancelled"));
      });
    }
    alarm->Set(t, [sleep] { sleep->Complete(absl::OkStatus()); });
  };
  absl::Status status =
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(absl::Status)>(
          initiate, asio::use_awaitable);
  co_return status;
}

}  // namespace boxkeeper::base
