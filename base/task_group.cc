#include "base/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/wait_list.h"

namespace boxkeeper::base {

namespace asio = boost::asio;

// Shared with each child's completion, which may come after the group is gone.
struct TaskGroup::State {
  struct Child {
    uint64_t number = 0;
    std::string id;
    asio::cancellation_signal signal;
  };

  State(Clock& clock, asio::any_io_executor e) : executor(std::move(e)), empty(clock) {}

  void Ended(const std::shared_ptr<Child>& child, std::exception_ptr escaped) {
    if (escaped) LogEscaped(child->id, escaped);
    children.erase(child->number);
    if (children.empty()) empty.NotifyAll();
  }

  void LogEscaped(const std::string& id, std::exception_ptr escaped) {
    try {
      std::rethrow_exception(escaped);
    } catch (const boost::system::system_error& error) {
      // What a cancelled coroutine throws at its next await.
      if (cancelled && error.code() == asio::error::operation_aborted) return;
      LogError("exception escaped a coroutine", {{"id", id}, {"what", error.what()}});
    } catch (const std::exception& error) {
      LogError("exception escaped a coroutine", {{"id", id}, {"what", error.what()}});
    } catch (...) {
      LogError("exception escaped a coroutine", {{"id", id}, {"what", "not a std::exception"}});
    }
  }

  asio::any_io_executor executor;
  // In the order of their spawning: a simulation cancels the same way each time.
  absl::btree_map<uint64_t, std::shared_ptr<Child>> children;
  uint64_t next_number = 0;
  WaitList empty;
  bool cancelled = false;
};

TaskGroup::TaskGroup(Clock& clock, asio::any_io_executor executor)
    : state_(std::make_shared<State>(clock, std::move(executor))) {}

TaskGroup::~TaskGroup() { Cancel(); }

void TaskGroup::Spawn(std::string id, std::function<asio::awaitable<void>()> run) {
  auto child = std::make_shared<State::Child>();
  child->number = state_->next_number++;
  child->id = std::move(id);
  state_->children.emplace(child->number, child);
  auto ended = [state = state_, child](std::exception_ptr escaped) {
    state->Ended(child, std::move(escaped));
  };
  asio::co_spawn(state_->executor, std::move(run),
                 asio::bind_cancellation_slot(child->signal.slot(), std::move(ended)));
  if (state_->cancelled) child->signal.emit(asio::cancellation_type::terminal);
}

void TaskGroup::Cancel() {
  state_->cancelled = true;
  // An emission may end its child, or others, at once.
  const auto children = state_->children;
  for (const auto& [number, child] : children)
    child->signal.emit(asio::cancellation_type::terminal);
}

asio::awaitable<absl::Status> TaskGroup::Join(BootTime deadline) {
  std::shared_ptr<State> state = state_;
  while (!state->children.empty()) {
    absl::Status status = co_await state->empty.Wait(deadline);
    if (absl::IsDeadlineExceeded(status)) {
      co_return absl::DeadlineExceededError(absl::StrCat(state->children.size(),
                                                         " children still run, one of them ",
                                                         state->children.begin()->second->id));
    }
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

size_t TaskGroup::size() const { return state_->children.size(); }

bool TaskGroup::cancelled() const { return state_->cancelled; }

}  // namespace boxkeeper::base
