#include "base/wait_list.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;

struct Waiter {
  virtual ~Waiter() = default;
  virtual void Complete(absl::Status status) = 0;
};

// The one completion of a wait. Owned by the alarm's callback only: the callback owns the handler,
// which owns the coroutine, which owns the alarm; so whoever drops the pending callback frees all
// of them.
template <typename Handler>
struct WaiterFor final : Waiter {
  WaiterFor(Handler h, asio::any_io_executor e) : handler(std::move(h)), executor(std::move(e)) {}

  void Complete(absl::Status status) override {
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

struct WaitList::State {
  explicit State(Clock& c) : clock(c) {}
  Clock& clock;
  std::vector<std::weak_ptr<Waiter>> waiters;
};

WaitList::WaitList(Clock& clock) : state_(std::make_shared<State>(clock)) {}
WaitList::~WaitList() = default;

void WaitList::NotifyAll() {
  for (const std::weak_ptr<Waiter>& weak : std::exchange(state_->waiters, {})) {
    if (auto waiter = weak.lock()) waiter->Complete(absl::OkStatus());
  }
}

asio::awaitable<absl::Status> WaitList::Wait(BootTime deadline) {
  std::shared_ptr<State> state = state_;
  auto executor = co_await asio::this_coro::executor;
  std::unique_ptr<Alarm> alarm = state->clock.NewAlarm(executor);
  auto initiate = [&](auto handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto waiter = std::make_shared<WaiterFor<decltype(handler)>>(std::move(handler), executor);
    std::weak_ptr<Waiter> weak = waiter;
    if (slot.is_connected()) {
      slot.assign([weak](asio::cancellation_type) {
        if (auto alive = weak.lock()) alive->Complete(absl::CancelledError("wait cancelled"));
      });
    }
    std::erase_if(state->waiters, [](const auto& w) { return w.expired(); });
    state->waiters.push_back(std::move(weak));
    alarm->Set(deadline,
               [waiter] { waiter->Complete(absl::DeadlineExceededError("wait timed out")); });
  };
  absl::Status status =
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(absl::Status)>(
          initiate, asio::use_awaitable);
  co_return status;
}

asio::awaitable<absl::Status> SleepByAlarm(Clock& clock, BootTime t) {
  WaitList never(clock);
  absl::Status status = co_await never.Wait(t);
  if (absl::IsDeadlineExceeded(status)) co_return absl::OkStatus();
  co_return status;
}

}  // namespace boxkeeper::base
