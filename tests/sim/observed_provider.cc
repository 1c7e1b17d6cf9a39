#include "tests/sim/observed_provider.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/states.h"

namespace boxkeeper::sim {
namespace {

namespace rec = store::v1;

// The watcher looks and destroys one by one, beside what the core does.
constexpr int kOfWatcher = 1;
// So does an operator's reap.
constexpr int kOfReaper = 1;

}  // namespace

std::string NameInHandle(const std::string& handle) {
  const size_t colon = handle.rfind(':');
  return colon == std::string::npos ? handle : handle.substr(colon + 1);
}

ObservedProvider::ObservedProvider(std::shared_ptr<providers::testing::FakeProvider> fake,
                                   uint64_t seed, GuardDeps deps)
    : fake_(std::move(fake)),
      deps_(std::move(deps)),
      draws_(seed),
      held_(std::make_shared<std::vector<providers::ProviderHint>>()),
      creates_{"create", deps_.limits.create_concurrency},
      starts_{"start", INT32_MAX},
      looks_{"inspect", deps_.limits.status_concurrency + kOfWatcher},
      signals_{"signal", INT32_MAX},
      destroys_{"destroy", deps_.limits.cleanup_concurrency + kOfWatcher + kOfReaper} {}

// A supervisor that does not enforce the time limit: the daemon's own clock is the back-up.
void ObservedProvider::ForgetLimit(pb::LaunchRequest& launch) {
  if (launch.command().shell().find("no_limit") != std::string::npos) launch.clear_timeout();
}

void ObservedProvider::Enter(Counter& counter, int calls) {
  counter.now += calls;
  if (counter.now <= counter.bound) return;
  Fail("I10", absl::StrCat(counter.now, " calls of ", counter.verb, " at once, allowed are ",
                           counter.bound));
}

asio::awaitable<void> ObservedProvider::Leave() {
  while (!deps_.may_act()) {
    absl::Status slept = co_await deps_.clock.SleepUntil(base::BootTime::max());
    (void)slept;  // cancelled: it is still dead
  }
}

asio::awaitable<void> ObservedProvider::Create(
    std::vector<pb::CreateRequest> requests, base::BootTime deadline,
    std::function<void(size_t, pb::CreateOutcome)> done) {
  co_await Leave();
  for (pb::CreateRequest& request : requests) {
    CheckCreate(request);
    ForgetLimit(*request.mutable_launch());
  }
  Enter(creates_, static_cast<int>(requests.size()));
  std::function<void(size_t, pb::CreateOutcome)> counted =
      [this, done = std::move(done)](size_t i, pb::CreateOutcome outcome) {
        --creates_.now;
        done(i, std::move(outcome));
      };
  co_await fake_->Create(std::move(requests), deadline, std::move(counted));
}

void ObservedProvider::CheckCreate(const pb::CreateRequest& request) {
  deps_.trace.Say(absl::StrCat("create ", request.name()));
  const bool one_step = capabilities().launch() == pb::Capabilities::ONE_STEP;
  const auto intent =
      one_step ? rec::SandboxRecord::START_INTENDED : rec::SandboxRecord::CREATE_INTENDED;
  const DurableSandbox* sandbox = deps_.durable.FindSandbox(request.name());
  if (sandbox == nullptr || sandbox->record.state() != intent) {
    return Fail("I4", absl::StrCat("create of ", request.name(), " without a durable intent"));
  }
  if (one_step) CheckCommand(*sandbox, request.launch());
  const std::map<std::string, std::string> labels(request.labels().begin(), request.labels().end());
  const auto verified = deps_.naming.Verify(request.name(), labels, name());
  if (!verified.has_value() || verified->epoch != sandbox->record.epoch()) {
    Fail("I6", absl::StrCat("create of ", request.name(), " with labels that prove nothing"));
  }
}

// Where user code begins with the create.
void ObservedProvider::CheckCommand(const DurableSandbox& sandbox,
                                    const pb::LaunchRequest& launch) {
  const DurableTask* task = deps_.durable.FindTask(sandbox.record.generation());
  if (task == nullptr || task->status.sandbox_id() != sandbox.record.id()) {
    return Fail("I4", absl::StrCat("a command in ", sandbox.name, ", which no task durably holds"));
  }
  if (launch.exec_id() != task->id) {
    Fail("I3", absl::StrCat("start of ", launch.exec_id(), " for task ", task->id));
  }
  if (task->status.state() != v1::TASK_STATE_STARTING) {
    Fail("I12", absl::StrCat("start of ", task->id, " without a durable intent, or after its end"));
  }
}

asio::awaitable<pb::StartOutcome> ObservedProvider::Start(std::string handle,
                                                          pb::LaunchRequest launch,
                                                          base::BootTime deadline) {
  co_await Leave();
  CheckStart(handle, launch);
  Enter(starts_);
  ForgetLimit(launch);
  pb::StartOutcome outcome = co_await fake_->Start(std::move(handle), std::move(launch), deadline);
  --starts_.now;
  co_return outcome;
}

const DurableTask* ObservedProvider::Holder(const char* verb, const std::string& handle) {
  const DurableSandbox* sandbox = deps_.durable.FindSandbox(NameInHandle(handle));
  const DurableTask* task =
      sandbox == nullptr ? nullptr : deps_.durable.FindTask(sandbox->record.generation());
  const bool holds = task != nullptr && task->status.sandbox_id() == sandbox->record.id();
  if (holds) return task;
  Fail("I4", absl::StrCat(verb, " of ", handle, ", which no task durably holds"));
  return nullptr;
}

void ObservedProvider::CheckStart(const std::string& handle, const pb::LaunchRequest& launch) {
  deps_.trace.Say(absl::StrCat("start ", handle, " ", launch.exec_id()));
  const DurableTask* task = Holder("start", handle);
  if (task == nullptr) return;
  const DurableSandbox* sandbox = deps_.durable.FindSandbox(NameInHandle(handle));
  if (sandbox->record.state() != rec::SandboxRecord::START_INTENDED) {
    Fail("I4", absl::StrCat("start in ", handle, " without a durable intent"));
  }
  if (launch.exec_id() != task->id) {
    Fail("I3", absl::StrCat("start of ", launch.exec_id(), " for task ", task->id));
  }
  if (sandbox->record.handle() != handle) {
    Fail("I3", absl::StrCat("start in ", handle, ", the winner is ", sandbox->record.handle()));
  }
  const v1::TaskState state = task->status.state();
  if (daemon::IsTerminal(state) || state == v1::TASK_STATE_STOPPING) {
    Fail("I12", absl::StrCat("start of ", task->id, " after its end was decided"));
  }
}

asio::awaitable<absl::StatusOr<pb::ListPage>> ObservedProvider::List(std::string cursor,
                                                                     base::BootTime deadline) {
  absl::StatusOr<pb::ListPage> page = co_await fake_->List(std::move(cursor), deadline);
  if (page.ok()) {
    for (pb::SandboxView& view : *page->mutable_sandboxes()) Blur(view);
  }
  co_return page;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> ObservedProvider::Inspect(
    std::string handle, base::BootTime deadline) {
  Enter(looks_);
  absl::StatusOr<pb::SandboxView> view = co_await fake_->Inspect(std::move(handle), deadline);
  --looks_.now;
  if (view.ok()) Blur(*view);
  // Look-ups lag as lists do.
  if (view.ok() && deps_.cloud.IsTooNew(view->name(), deps_.clock.Boot())) {
    deps_.trace.Sometimes("look at what is not shown yet");
    pb::SandboxView absent;
    absent.set_state(pb::SandboxView::ABSENT);
    absent.set_handle(view->handle());
    *view = std::move(absent);
  }
  co_return view;
}

// As an adapter reads a word that its provider's documentation does not have.
void ObservedProvider::Blur(pb::SandboxView& view) {
  if (view.state() == pb::SandboxView::ABSENT) return;
  if (!draws_.Chance(deps_.cloud.plan.unknown_state)) return;
  deps_.trace.Sometimes("unknown state word");
  view.set_state(pb::SandboxView::UNKNOWN);
  view.clear_exit();
  view.clear_boot_marker();
}

asio::awaitable<absl::Status> ObservedProvider::Signal(std::string handle,
                                                       providers::SignalRequest request,
                                                       base::BootTime deadline) {
  co_await Leave();
  deps_.trace.Say(absl::StrCat("signal ", handle));
  const DurableTask* task = Holder("signal", handle);
  if (task != nullptr && task->status.state() != v1::TASK_STATE_STOPPING) {
    Fail("I4", absl::StrCat("signal to ", task->id, " before its stop is durable"));
  }
  Enter(signals_);
  absl::Status status = co_await fake_->Signal(std::move(handle), request, deadline);
  --signals_.now;
  co_return status;
}

asio::awaitable<absl::Status> ObservedProvider::Destroy(std::string handle,
                                                        base::BootTime deadline) {
  co_await Leave();
  CheckDestroy(handle);
  Enter(destroys_);
  absl::Status status = co_await fake_->Destroy(std::move(handle), deadline);
  --destroys_.now;
  co_return status;
}

void ObservedProvider::CheckDestroy(const std::string& handle) {
  const std::string sandbox_name = NameInHandle(handle);
  deps_.trace.Say(absl::StrCat("destroy ", handle));
  if (deps_.cloud.strangers.contains(sandbox_name)) {
    return Fail("I6", absl::StrCat("destroy of ", sandbox_name, ", which is not ours"));
  }
  if (const DurableSandbox* sandbox = deps_.durable.FindSandbox(sandbox_name)) {
    // Another one of the same create, never started.
    const std::string& winner = sandbox->record.handle();
    if (!winner.empty() && winner != handle) return deps_.trace.Sometimes("spare destroyed");
    const DurableTask* task = deps_.durable.FindTask(sandbox->record.generation());
    const bool stopping = task != nullptr && task->status.state() == v1::TASK_STATE_STOPPING;
    if (stopping) return;  // it did not end in any other way
    if (deps_.durable.HasLiveLease(sandbox_name)) {
      return Fail("I4", absl::StrCat("destroy of ", sandbox_name, ", which a live task holds"));
    }
    if (sandbox->record.state() != rec::SandboxRecord::CLEANUP) {
      Fail("I4", absl::StrCat("destroy of ", sandbox_name, " without a durable wish"));
    }
    return;
  }
  deps_.trace.Sometimes("orphan destroyed");
  if (deps_.hands_off(sandbox_name)) {
    Fail("I6", absl::StrCat("destroy of ", sandbox_name, " by a store older than the world"));
  }
}

// A stopped daemon hears of nothing; what was sent to it waits.
void ObservedProvider::OnHint(std::function<void(providers::ProviderHint)> receiver) {
  if (!receiver) return fake_->OnHint(nullptr);
  fake_->OnHint([receiver = std::move(receiver), held = held_,
                 &cloud = deps_.cloud](providers::ProviderHint hint) {
    held->push_back(std::move(hint));
    if (cloud.muted) return;
    for (const providers::ProviderHint& one : std::exchange(*held, {})) receiver(one);
  });
}

asio::awaitable<absl::Status> ObservedProvider::Fence(std::string handle, base::BootTime deadline) {
  co_await Leave();
  deps_.trace.Say(absl::StrCat("fence ", handle));
  const DurableTask* task = Holder("fence", handle);
  if (task != nullptr && task->status.state() != v1::TASK_STATE_STOPPING) {
    Fail("I4", absl::StrCat("fence of ", task->id, " before its stop is durable"));
  }
  absl::Status status = co_await fake_->Fence(std::move(handle), deadline);
  co_return status;
}

}  // namespace boxkeeper::sim
