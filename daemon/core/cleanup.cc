// Sandboxes that are to go: destroyed until the provider says so, within its cleanup concurrency.
#include <algorithm>
#include <utility>

#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

std::chrono::milliseconds Settle(const ProviderState& provider) {
  const pb::Capabilities& capabilities = provider.provider->capabilities();
  return std::chrono::milliseconds(
      std::max(ToMillis(capabilities.create_settle()), ToMillis(capabilities.list_lag())));
}

// Journalled first: the wish to destroy survives a crash.
void Engine::Cleanup(SandboxRow& sandbox) {
  if (base::Mutated("lost_create_not_cleaned") && sandbox.record.handle().empty()) return;
  const base::SandboxId id = sandbox.id;
  if (sandbox.record.state() != rec::SandboxRecord::CLEANUP) {
    rec::SandboxRecord record = sandbox.record;
    record.set_state(rec::SandboxRecord::CLEANUP);
    WriteSandbox(std::move(record));
    base::Failpoint("sandbox.cleanup_intended");
  }
  journal_.WhenSynced([this, id] {
    SandboxRow* row = table_.FindSandbox(id);
    ProviderState* provider = row == nullptr ? nullptr : FindProvider(row->record.provider());
    if (provider == nullptr || !provider->destroying.insert(id).second) return;
    // Without a handle the create may still be on its way: what it made shows after a while.
    const bool known = !row->record.handle().empty();
    DestroyLater(*provider, {.id = id}, known ? std::chrono::milliseconds(0) : Settle(*provider));
  });
}

// What waits holds no place of cleanup_concurrency.
void Engine::DestroyLater(ProviderState& provider, Destruction what,
                          base::BootClock::duration wait) {
  if (wait.count() == 0) {
    provider.to_destroy.push_back(what);
    return PumpCleanup(provider);
  }
  Spawn("destroy later", [this, &provider, what, wait]() -> asio::awaitable<void> {
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + wait);
    if (!slept.ok()) co_return;
    provider.to_destroy.push_back(what);
    PumpCleanup(provider);
  });
}

void Engine::PumpCleanup(ProviderState& provider) {
  while (!stopping_ && !provider.to_destroy.empty() &&
         provider.destroys_in_flight < provider.limits.cleanup_concurrency) {
    const Destruction what = provider.to_destroy.front();
    provider.to_destroy.pop_front();
    ++provider.destroys_in_flight;
    Spawn("destroy", [this, &provider, what] { return RunDestroy(provider, what); });
  }
}

// OK: it is gone, or what.look_again.
asio::awaitable<absl::Status> Engine::DestroyOnce(ProviderState& provider, Destruction& what) {
  SandboxRow* sandbox = table_.FindSandbox(what.id);
  if (sandbox == nullptr) co_return absl::OkStatus();
  std::string handle = sandbox->record.handle();
  const bool by_name = handle.empty();
  what.look_again = false;
  if (by_name) {
    constexpr int kLooks = 2;
    const std::string name = deps_.naming.Name(what.id);
    absl::StatusOr<pb::SandboxView> found =
        co_await provider.provider->Find(name, CallDeadline(provider));
    NoteCall(provider, "find", found.status());
    if (!found.ok()) co_return found.status();
    if (found->state() == pb::SandboxView::ABSENT) {
      what.look_again = ++what.looks < kLooks;
      co_return absl::OkStatus();
    }
    handle = found->handle();
  }
  CallScope call(calls_);
  base::Failpoint("destroy.before_call");
  absl::Status destroyed =
      co_await provider.provider->Destroy(std::move(handle), CallDeadline(provider));
  base::Failpoint("destroy.after_answer");
  NoteCall(provider, "destroy", destroyed);
  // Where a name can be given twice, there may be another one.
  if (by_name && destroyed.ok() && !provider.provider->capabilities().name_unique_incl_ended()) {
    what.looks = 0;
    what.look_again = true;
  }
  co_return destroyed;
}

asio::awaitable<void> Engine::RunDestroy(ProviderState& provider, Destruction what) {
  absl::Status status = co_await DestroyOnce(provider, what);
  --provider.destroys_in_flight;
  if (status.ok() && what.look_again) {
    DestroyLater(provider, what, Settle(provider));
  } else if (status.ok()) {
    provider.destroying.erase(what.id);
    if (SandboxRow* gone = table_.FindSandbox(what.id)) ForgetSandbox(*gone);
  } else if (!stopping_) {
    base::LogWarning("sandbox not destroyed yet",
                     {{"sandbox", what.id.ToString()}, {"error", status}});
    const base::BackoffOptions backoff{options_.retry_initial, options_.retry_max};
    DestroyLater(provider, what, base::BackoffFor(backoff, what.failures++, deps_.rng));
  }
  PumpCleanup(provider);
}

}  // namespace boxkeeper::daemon
