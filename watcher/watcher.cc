#include "watcher/watcher.h"

#include <utility>

#include "base/status_macros.h"

namespace boxkeeper::watcher {
namespace asio = boost::asio;
namespace {

// A list that never ends is a provider's mistake: stop after this many pages (10 M sandboxes at 100
// a page).
constexpr int kPagesMax = 100'000;
// Failed look-ups after which a cycle is given up.
constexpr int kLookUpFailuresMax = 3;

std::chrono::nanoseconds LagOf(const providers::Provider& provider) {
  const auto& lag = provider.capabilities().list_lag();
  return std::chrono::seconds(lag.seconds()) + std::chrono::nanoseconds(lag.nanos());
}

}  // namespace

asio::awaitable<absl::Status> Watcher::Cycle() {
  // Taken before the list: what is created while we list is not missing.
  const std::vector<Known> known = subject_.KnownSandboxes(provider_.name());
  std::map<std::string, provider::v1::SandboxView> seen;
  absl::Status listed = co_await ListAll(&seen);
  if (!listed.ok()) co_return listed;
  std::map<std::string, base::BootTime> still_missing;
  for (const Known& one : known) {
    if (seen.contains(one.name)) continue;
    if (auto it = missing_.find(one.name); it != missing_.end()) still_missing.insert(*it);
  }
  missing_ = std::move(still_missing);
  int failures = 0;
  for (const Known& one : known) {
    if (seen.contains(one.name)) continue;
    absl::Status looked = co_await LookUp(one);
    // One that cannot be looked at does not hide the others; several say that there is no use.
    if (!looked.ok() && ++failures >= kLookUpFailuresMax) co_return looked;
  }
  for (const Known& one : known) seen.erase(one.name);
  co_await ReapOrphans(seen);
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Watcher::ListAll(
    std::map<std::string, provider::v1::SandboxView>* seen) {
  std::string cursor;
  for (int page = 0; page < kPagesMax; ++page) {
    auto listed = co_await provider_.List(cursor, Deadline());
    subject_.OnCall(provider_.name(), "list", listed.status());
    CO_RETURN_IF_ERROR(listed.status());
    for (const auto& view : listed->sandboxes()) {
      if (!seen->emplace(view.name(), view).second) continue;  // pages may repeat rows
      subject_.OnView(provider_.name(), view);
    }
    if (listed->next_cursor().empty()) co_return absl::OkStatus();
    if (listed->next_cursor() == cursor) break;
    cursor = listed->next_cursor();
  }
  co_return absl::InternalError(provider_.name() + ": the list does not end");
}

asio::awaitable<absl::Status> Watcher::LookUp(const Known& known) {
  const std::string name = known.name;
  auto view = co_await provider_.Inspect(known.handle, Deadline());
  subject_.OnCall(provider_.name(), "inspect", view.status());
  CO_RETURN_IF_ERROR(view.status());
  if (view->state() != provider::v1::SandboxView::ABSENT) {
    missing_.erase(name);
    view->set_name(name);
    subject_.OnView(provider_.name(), *view);
    co_return absl::OkStatus();
  }
  auto [it, first] = missing_.emplace(name, clock_.Boot());
  if (first || clock_.Boot() - it->second < LagOf(provider_)) co_return absl::OkStatus();
  missing_.erase(it);
  subject_.OnAbsent(provider_.name(), name);
  co_return absl::OkStatus();
}

std::optional<base::BootTime> Watcher::UnknownSince(const std::string& name) const {
  const auto found = strangers_.find(name);
  if (found == strangers_.end()) return std::nullopt;
  return found->second;
}

asio::awaitable<void> Watcher::ReapOrphans(
    const std::map<std::string, provider::v1::SandboxView>& seen) {
  std::map<std::string, base::BootTime> strangers;
  for (const auto& [name, view] : seen) {
    auto old = strangers_.find(name);
    const base::BootTime since = old == strangers_.end() ? clock_.Boot() : old->second;
    strangers.emplace(name, since);
    if (clock_.Boot() - since < options_.orphan_grace) continue;
    if (!subject_.MayDestroyOrphan(provider_.name(), view)) continue;
    absl::Status destroyed = co_await provider_.Destroy(view.handle(), Deadline());
    subject_.OnCall(provider_.name(), "destroy", destroyed);
    if (destroyed.ok()) strangers.erase(name);
  }
  strangers_ = std::move(strangers);
}

}  // namespace boxkeeper::watcher
