#include "logs/group_sync.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

// Touched on the loop only; kept alive by the pass under way.
struct GroupSync::State : std::enable_shared_from_this<State> {
  using Done = absl::AnyInvocable<void(absl::Status)>;

  State(asio::any_io_executor executor, Pass work)
      : pool(std::move(executor)), pass(std::move(work)) {}

  void Add(SyncItem item, Done done, const asio::any_io_executor& loop) {
    items.push_back(std::move(item));
    waiting.push_back(std::move(done));
    if (!running) Start(loop);
  }

  void Start(const asio::any_io_executor& loop) {
    running = true;
    auto job = [self = shared_from_this(), items = std::exchange(items, {}),
                waiting = std::exchange(waiting, {}),
                guard = asio::make_work_guard(loop)]() mutable {
      std::vector<absl::Status> statuses = self->pass(items);
      items.clear();  // closed here, off the loop
      auto finish = [self = std::move(self), statuses = std::move(statuses),
                     waiting = std::move(waiting), loop = guard.get_executor()]() mutable {
        self->running = false;
        if (!self->items.empty()) self->Start(loop);
        for (size_t i = 0; i < waiting.size(); ++i) waiting[i](std::move(statuses[i]));
      };
      asio::post(guard.get_executor(), std::move(finish));
    };
    asio::post(pool, std::move(job));
  }

  const asio::any_io_executor pool;
  const Pass pass;
  bool running = false;
  std::vector<SyncItem> items;  // for the next pass
  std::vector<Done> waiting;    // the same, in order
};

GroupSync::GroupSync(asio::any_io_executor pool, Pass pass)
    : state_(std::make_shared<State>(std::move(pool), std::move(pass))) {}

GroupSync::~GroupSync() = default;

asio::awaitable<absl::Status> GroupSync::Sync(SyncItem item) {
  auto loop = co_await asio::this_coro::executor;
  auto initiate = [state = state_, &item, &loop](auto handler) {
    auto done = [handler = std::move(handler)](absl::Status status) mutable {
      std::move(handler)(std::move(status));
    };
    state->Add(std::move(item), std::move(done), loop);
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(absl::Status)>(
      initiate, asio::use_awaitable);
}

}  // namespace boxkeeper::logs
