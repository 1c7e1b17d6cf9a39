// Sandboxes that are to go: destroyed until the provider says so, within its cleanup concurrency.
#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

// Journalled first: the wish to destroy survives a crash.
void Engine::Cleanup(SandboxRow& sandbox) {
  const base::SandboxId id = sandbox.id;
  if (sandbox.record.state() != rec::SandboxRecord::CLEANUP) {
    rec::SandboxRecord record = sandbox.record;
    record.set_state(rec::SandboxRecord::CLEANUP);
    WriteSandbox(std::move(record));
  }
  journal_.WhenSynced([this, id] {
    SandboxRow* row = table_.FindSandbox(id);
    ProviderState* provider = row == nullptr ? nullptr : FindProvider(row->record.provider());
    if (provider == nullptr) return;
    provider->to_destroy.push_back(id);
    PumpCleanup(*provider);
  });
}

void Engine::PumpCleanup(ProviderState& provider) {
  while (!stopping_ && !provider.to_destroy.empty() &&
         provider.destroys_in_flight < provider.limits.cleanup_concurrency) {
    const base::SandboxId id = provider.to_destroy.front();
    provider.to_destroy.pop_front();
    ++provider.destroys_in_flight;
    Spawn("destroy", [this, &provider, id] { return DestroySandbox(provider, id); });
  }
}

// A handle for Destroy. Empty: it does not exist. Without a handle (the create's answer was lost)
// the name tells, after what may still be on its way has settled, and twice.
asio::awaitable<absl::StatusOr<std::string>> Engine::HandleForDestroy(base::SandboxId id) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr) co_return std::string();
  if (!sandbox->record.handle().empty()) co_return sandbox->record.handle();
  ProviderState* provider = FindProvider(sandbox->record.provider());
  const std::string name = deps_.naming.Name(id);
  const pb::Capabilities& capabilities = provider->provider->capabilities();
  const std::chrono::milliseconds settle(
      std::max(ToMillis(capabilities.create_settle()), ToMillis(capabilities.list_lag())));
  constexpr int kLooks = 2;
  for (int look = 0; look < kLooks; ++look) {
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + settle);
    if (!slept.ok()) co_return slept;
    const base::BootTime deadline = CallDeadline(*provider);
    absl::StatusOr<pb::SandboxView> found = co_await provider->provider->Find(name, deadline);
    NoteCall(*provider, "find", found.status());
    if (!found.ok()) co_return found.status();
    if (found->state() != pb::SandboxView::ABSENT) co_return found->handle();
  }
  co_return std::string();
}

asio::awaitable<void> Engine::DestroySandbox(ProviderState& provider, base::SandboxId id) {
  base::Backoff backoff({options_.retry_initial, options_.retry_max}, deps_.rng);
  while (!stopping_) {
    absl::StatusOr<std::string> handle = co_await HandleForDestroy(id);
    absl::Status status = handle.status();
    if (handle.ok() && !handle->empty()) {
      CallScope call(calls_);
      status = co_await provider.provider->Destroy(*handle, CallDeadline(provider));
      NoteCall(provider, "destroy", status);
    }
    if (status.ok()) {
      if (SandboxRow* gone = table_.FindSandbox(id)) ForgetSandbox(*gone);
      break;
    }
    base::LogWarning("sandbox not destroyed yet", {{"sandbox", id.ToString()}, {"error", status}});
    absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + backoff.Next());
    if (!slept.ok()) break;
  }
  --provider.destroys_in_flight;
  PumpCleanup(provider);
}

}  // namespace boxkeeper::daemon
