// What the watcher lists, told to the tasks: which rows are theirs, which are spares, what is
// missing.
#include <map>
#include <utility>

#include "base/log.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

asio::awaitable<void> Engine::PollLoop(ProviderState& provider) {
  while (!stopping_) {
    if (!provider.opened) {
      co_await OpenProvider(provider);
    } else {
      absl::Status cycle = co_await provider.watcher->Cycle();
      if (!cycle.ok())
        base::LogDebug("poll failed", {{"provider", provider.name}, {"error", cycle}});
      NoteCycle(provider, cycle);
    }
    if (stopping_) co_return;
    absl::Status woken =
        co_await provider.poll_now->Wait(deps_.clock.Boot() + options_.poll_interval);
    if (absl::IsCancelled(woken)) co_return;
  }
}

void Engine::BeginCycle(const std::string& provider) { ++FindProvider(provider)->cycle; }

// A handle in the journal is known by itself; only others' labels have to be verified.
watcher::Row Engine::OnRow(const std::string& provider, const pb::SandboxView& view) {
  const uint32_t cycle = FindProvider(provider)->cycle;
  if (SandboxRow* sandbox = table_.FindByHandle(provider, view.handle())) {
    sandbox->listed_in = cycle;
    Observe(*sandbox, view);
    return watcher::Row::kKnown;
  }
  const std::map<std::string, std::string> labels(view.labels().begin(), view.labels().end());
  const auto verified = deps_.naming.Verify(view.name(), labels, provider);
  if (!verified.has_value()) return watcher::Row::kStranger;
  SandboxRow* sandbox = table_.FindSandbox(verified->id);
  if (sandbox == nullptr) {
    if (IsForgotten(*verified)) NoteForgotten(provider, view.name(), verified->epoch);
    return watcher::Row::kStranger;
  }
  // Its create is on its way, or whoever looks for it by its name will find it.
  if (sandbox->record.handle().empty()) return watcher::Row::kKnown;
  // Ours is gone, or in another row; whether it is gone its own look-up tells.
  if (IsAnother(*sandbox, view)) return watcher::Row::kSpare;
  sandbox->listed_in = cycle;
  Observe(*sandbox, view);
  return watcher::Row::kKnown;
}

// The sandbox of a create that arrived twice; where a name is given once, after the first one's was
// free again. The journal has the winner.
bool Engine::IsAnother(const SandboxRow& sandbox, const pb::SandboxView& view) {
  const std::string& handle = sandbox.record.handle();
  return !view.handle().empty() && !handle.empty() && view.handle() != handle;
}

std::vector<watcher::Known> Engine::Missing(const std::string& provider) {
  const uint32_t cycle = FindProvider(provider)->cycle;
  std::vector<watcher::Known> missing;
  for (const auto& [id, sandbox] : table_.sandboxes()) {
    if (sandbox->listed_in == cycle || sandbox->known_in == cycle) continue;
    const rec::SandboxRecord& record = sandbox->record;
    if (record.handle().empty() || record.state() == rec::SandboxRecord::CLEANUP) continue;
    if (record.provider() == provider) missing.push_back({id, record.handle()});
  }
  return missing;
}

void Engine::OnFound(const std::string& provider, const watcher::Known& known,
                     const pb::SandboxView& view) {
  SandboxRow* sandbox = table_.FindSandbox(known.id);
  if (sandbox == nullptr || sandbox->record.handle() != known.handle) return;
  missing_.erase(known.id);
  Observe(*sandbox, view);
}

void Engine::OnAbsent(const std::string& provider, const watcher::Known& known) {
  SandboxRow* sandbox = table_.FindSandbox(known.id);
  if (sandbox != nullptr && sandbox->record.handle() == known.handle) SandboxAbsent(*sandbox);
}

void Engine::OnCall(const std::string& provider, const char* verb, const absl::Status& status) {
  if (ProviderState* state = FindProvider(provider)) NoteCall(*state, verb, status);
}

// The winner stands in the same list, so that this is certainly another one; and nothing was ever
// started in it, because only the winner's handle is.
bool Engine::MayDestroySpare(const std::string& provider, const pb::SandboxView& view) {
  const std::map<std::string, std::string> labels(view.labels().begin(), view.labels().end());
  const auto verified = deps_.naming.Verify(view.name(), labels, provider);
  // A name can be copied by whoever sees it; labels cannot be made.
  if (stopping_ || labels.empty() || !verified.has_value()) return false;
  SandboxRow* sandbox = table_.FindSandbox(verified->id);
  if (sandbox == nullptr || sandbox->record.provider() != provider) return false;
  if (sandbox->listed_in != FindProvider(provider)->cycle || !IsAnother(*sandbox, view))
    return false;
  base::LogWarning("spare destroyed", {{"provider", provider},
                                       {"sandbox", view.name()},
                                       {"because", "another one of the same create is in use"}});
  return true;
}

}  // namespace boxkeeper::daemon
