#include "providers/runtime/managed_provider.h"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <optional>
#include <utility>

#include "base/task_group.h"

namespace boxkeeper::providers {

namespace asio = boost::asio;
using base::BootTime;

namespace {

constexpr CallPolicy kCreate{.call_class = CallClass::kCreate, .breaker = true, .long_try = true};
constexpr CallPolicy kStart{.call_class = CallClass::kCreate, .long_try = true};
constexpr CallPolicy kOpen{.call_class = CallClass::kStatus, .repeatable = true, .long_try = true};
constexpr CallPolicy kLook{.call_class = CallClass::kStatus, .repeatable = true};
constexpr CallPolicy kSignal{.call_class = CallClass::kCleanup};
constexpr CallPolicy kRemove{.call_class = CallClass::kCleanup, .repeatable = true};

using StatusCall = std::function<asio::awaitable<absl::Status>(BootTime)>;

}  // namespace

// Shared with the calls in flight.
struct ManagedProvider::State {
  State(Deps deps, std::shared_ptr<Provider> an_inner, const CallRunnerOptions& options)
      : executor(deps.executor),
        clock(deps.clock),
        inner(std::move(an_inner)),
        rng(std::move(deps.rng)),
        runner(clock, *rng, options) {}

  // The runner speaks of values.
  static asio::awaitable<absl::Status> RunStatus(std::shared_ptr<State> state, CallPolicy policy,
                                                 BootTime deadline, StatusCall call) {
    std::function<asio::awaitable<absl::StatusOr<bool>>(BootTime)> valued =
        [call = std::move(call)](BootTime until) -> asio::awaitable<absl::StatusOr<bool>> {
      const absl::Status status = co_await call(until);
      if (!status.ok()) co_return status;
      co_return true;
    };
    auto answer = co_await state->runner.Run<bool>(policy, deadline, std::move(valued));
    co_return answer.status();
  }

  static asio::awaitable<pb::CreateOutcome> CreateOne(std::shared_ptr<State> state,
                                                      pb::CreateRequest request,
                                                      BootTime deadline) {
    std::function<asio::awaitable<absl::StatusOr<pb::CreateOutcome>>(BootTime)> call =
        [inner = state->inner, request = std::move(request)](
            BootTime until) -> asio::awaitable<absl::StatusOr<pb::CreateOutcome>> {
      std::optional<pb::CreateOutcome> told;
      std::function<void(size_t, pb::CreateOutcome)> done = [&told](size_t, pb::CreateOutcome o) {
        told = std::move(o);
      };
      std::vector<pb::CreateRequest> one(1, request);
      co_await inner->Create(std::move(one), until, std::move(done));
      if (!told.has_value()) co_return absl::CancelledError("the create was given up");
      if (told->has_error()) co_return MakeError(told->error());
      co_return *std::move(told);
    };
    auto answer = co_await state->runner.Run<pb::CreateOutcome>(kCreate, deadline, std::move(call));
    if (answer.ok()) co_return *std::move(answer);
    pb::CreateOutcome failed;
    *failed.mutable_error() = ErrorOf(answer.status());
    co_return failed;
  }

  // One create of a batch: answers however it ends.
  static asio::awaitable<void> CreateInBatch(
      std::shared_ptr<State> state, size_t index, pb::CreateRequest request, BootTime deadline,
      std::shared_ptr<const std::function<void(size_t, pb::CreateOutcome)>> done) {
    pb::CreateOutcome outcome;
    try {
      outcome = co_await CreateOne(std::move(state), std::move(request), deadline);
    } catch (const boost::system::system_error&) {  // what a cancelled await throws
      *outcome.mutable_error() =
          MakeProviderError(pb::TRANSIENT, "the create was cancelled", false);
    }
    (*done)(index, std::move(outcome));
  }

  const asio::any_io_executor executor;
  base::Clock& clock;
  const std::shared_ptr<Provider> inner;
  const std::shared_ptr<base::Rng> rng;
  CallRunner runner;
};

ManagedProvider::ManagedProvider(Deps deps, std::shared_ptr<Provider> inner,
                                 const CallRunnerOptions& options)
    : state_(std::make_shared<State>(std::move(deps), std::move(inner), options)) {}

ManagedProvider::~ManagedProvider() { state_->inner->OnHint(nullptr); }

const CallRunner& ManagedProvider::runner() const { return state_->runner; }
const std::string& ManagedProvider::name() const { return state_->inner->name(); }
const std::string& ManagedProvider::type() const { return state_->inner->type(); }
const pb::Capabilities& ManagedProvider::capabilities() const {
  return state_->inner->capabilities();
}

std::vector<std::string> ManagedProvider::warnings() const {
  std::vector<std::string> warnings = state_->inner->warnings();
  for (std::string& warning : state_->runner.warnings()) warnings.push_back(std::move(warning));
  return warnings;
}

bool ManagedProvider::tasks_survive_service_stop() const {
  return state_->inner->tasks_survive_service_stop();
}
std::string ManagedProvider::helper_version() const { return state_->inner->helper_version(); }
std::vector<FieldViolation> ManagedProvider::Validate(const v1::SandboxSpec& spec) const {
  return state_->inner->Validate(spec);
}
void ManagedProvider::SetLimits(const CallLimits& limits) {
  state_->inner->SetLimits(limits);
  state_->runner.SetLimits(limits);
}
asio::awaitable<absl::Status> ManagedProvider::Open(BootTime deadline) {
  return State::RunStatus(state_, kOpen, deadline,
                          [inner = state_->inner](BootTime until) { return inner->Open(until); });
}
absl::Status ManagedProvider::Check() const { return state_->inner->Check(); }

asio::awaitable<void> ManagedProvider::Create(std::vector<pb::CreateRequest> requests,
                                              BootTime deadline,
                                              std::function<void(size_t, pb::CreateOutcome)> done) {
  const std::shared_ptr<State> state = state_;
  const auto told =
      std::make_shared<const std::function<void(size_t, pb::CreateOutcome)>>(std::move(done));
  base::TaskGroup group(state->clock, state->executor);
  for (size_t i = 0; i < requests.size(); ++i) {
    group.Spawn(requests[i].name(), [state, i, request = std::move(requests[i]), deadline, told] {
      return State::CreateInBatch(state, i, request, deadline, told);
    });
  }
  const absl::Status joined = co_await group.Join(BootTime::max());
  if (joined.ok()) co_return;
  // Cancelled: each of them still says what became of it.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  group.Cancel();
  (void)co_await group.Join(BootTime::max());
}

asio::awaitable<pb::StartOutcome> ManagedProvider::Start(std::string handle,
                                                         pb::LaunchRequest launch,
                                                         BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  std::function<asio::awaitable<absl::StatusOr<pb::StartOutcome>>(BootTime)> call =
      [inner = state->inner, handle = std::move(handle), launch = std::move(launch)](
          BootTime until) -> asio::awaitable<absl::StatusOr<pb::StartOutcome>> {
    pb::StartOutcome outcome = co_await inner->Start(handle, launch, until);
    if (outcome.has_error()) co_return MakeError(outcome.error());
    co_return outcome;
  };
  auto answer = co_await state->runner.Run<pb::StartOutcome>(kStart, deadline, std::move(call));
  if (answer.ok()) co_return *std::move(answer);
  pb::StartOutcome failed;
  *failed.mutable_error() = ErrorOf(answer.status());
  co_return failed;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> ManagedProvider::Find(std::string name,
                                                                       BootTime deadline) {
  return state_->runner.Run<pb::SandboxView>(
      kLook, deadline, [inner = state_->inner, name = std::move(name)](BootTime until) {
        return inner->Find(name, until);
      });
}

asio::awaitable<absl::StatusOr<pb::ListPage>> ManagedProvider::List(std::string cursor,
                                                                    BootTime deadline) {
  return state_->runner.Run<pb::ListPage>(
      kLook, deadline, [inner = state_->inner, cursor = std::move(cursor)](BootTime until) {
        return inner->List(cursor, until);
      });
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> ManagedProvider::Inspect(std::string handle,
                                                                          BootTime deadline) {
  return state_->runner.Run<pb::SandboxView>(
      kLook, deadline, [inner = state_->inner, handle = std::move(handle)](BootTime until) {
        return inner->Inspect(handle, until);
      });
}

asio::awaitable<absl::StatusOr<pb::OutputChunk>> ManagedProvider::ReadOutput(
    std::string handle, std::string exec_id, std::string stream, int64_t offset, int64_t max_bytes,
    BootTime deadline) {
  return state_->runner.Run<pb::OutputChunk>(
      kLook, deadline,
      [inner = state_->inner, handle, exec_id, stream, offset, max_bytes](BootTime until) {
        return inner->ReadOutput(handle, exec_id, stream, offset, max_bytes, until);
      });
}

asio::awaitable<absl::Status> ManagedProvider::Signal(std::string handle, SignalRequest request,
                                                      BootTime deadline) {
  return State::RunStatus(state_, kSignal, deadline,
                          [inner = state_->inner, handle = std::move(handle), request](
                              BootTime until) { return inner->Signal(handle, request, until); });
}

asio::awaitable<absl::Status> ManagedProvider::Renew(std::string handle,
                                                     std::chrono::seconds lifetime,
                                                     BootTime deadline) {
  return State::RunStatus(state_, kLook, deadline,
                          [inner = state_->inner, handle = std::move(handle), lifetime](
                              BootTime until) { return inner->Renew(handle, lifetime, until); });
}

asio::awaitable<absl::Status> ManagedProvider::Destroy(std::string handle, BootTime deadline) {
  return State::RunStatus(state_, kRemove, deadline,
                          [inner = state_->inner, handle = std::move(handle)](BootTime until) {
                            return inner->Destroy(handle, until);
                          });
}

asio::awaitable<absl::Status> ManagedProvider::Fence(std::string handle, BootTime deadline) {
  return State::RunStatus(state_, kRemove, deadline,
                          [inner = state_->inner, handle = std::move(handle)](BootTime until) {
                            return inner->Fence(handle, until);
                          });
}

void ManagedProvider::OnHint(std::function<void(ProviderHint)> receiver) {
  state_->inner->OnHint(std::move(receiver));
}

}  // namespace boxkeeper::providers
