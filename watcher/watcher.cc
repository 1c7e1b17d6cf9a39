#include "watcher/watcher.h"

#include <utility>

#include "base/fault_points.h"
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
  subject_.BeginCycle(provider_.name());
  Others others;
  absl::Status listed = co_await ListAll(&others);
  if (!listed.ok()) co_return listed;
  absl::Status looked = co_await LookUpMissing();
  if (!looked.ok()) co_return looked;
  co_await DestroySpares(others);
  co_await ReapOrphans(others);
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Watcher::ListAll(Others* others) {
  std::string cursor;
  for (int page = 0; page < kPagesMax; ++page) {
    auto listed = co_await provider_.List(cursor, Deadline());
    subject_.OnCall(provider_.name(), "list", listed.status());
    CO_RETURN_IF_ERROR(listed.status());
    for (const auto& view : listed->sandboxes()) {
      const Row row = subject_.OnRow(provider_.name(), view);
      if (row == Row::kStranger) others->strangers.emplace(view.handle(), view);
      if (row == Row::kSpare) others->spares.emplace(view.handle(), view);
    }
    if (listed->next_cursor().empty()) co_return absl::OkStatus();
    if (listed->next_cursor() == cursor) break;
    cursor = listed->next_cursor();
  }
  co_return absl::InternalError(provider_.name() + ": the list does not end");
}

asio::awaitable<absl::Status> Watcher::LookUpMissing() {
  const std::vector<Known> missing = subject_.Missing(provider_.name());
  std::map<std::string, base::BootTime> still_missing;
  for (const Known& one : missing) {
    if (auto it = missing_.find(one.handle); it != missing_.end()) still_missing.insert(*it);
  }
  missing_ = std::move(still_missing);
  int failures = 0;
  for (const Known& one : missing) {
    absl::Status looked = co_await LookUp(one);
    // One that cannot be looked at does not hide the others; several say that there is no use.
    if (!looked.ok() && ++failures >= kLookUpFailuresMax) co_return looked;
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Watcher::LookUp(const Known& known) {
  if (base::Mutated("missing_row_is_absent")) {
    subject_.OnAbsent(provider_.name(), known);
    co_return absl::OkStatus();
  }
  auto view = co_await provider_.Inspect(known.handle, Deadline());
  subject_.OnCall(provider_.name(), "inspect", view.status());
  CO_RETURN_IF_ERROR(view.status());
  if (view->state() != provider::v1::SandboxView::ABSENT) {
    missing_.erase(known.handle);
    subject_.OnFound(provider_.name(), known, *view);
    co_return absl::OkStatus();
  }
  auto [it, first] = missing_.emplace(known.handle, clock_.Boot());
  const bool hasty = base::Mutated("one_look_up") || (!first && base::Mutated("list_lag_ignored"));
  const bool settled = hasty || (!first && clock_.Boot() - it->second >= LagOf(provider_));
  if (!settled) co_return absl::OkStatus();
  missing_.erase(it);
  subject_.OnAbsent(provider_.name(), known);
  co_return absl::OkStatus();
}

std::optional<base::BootTime> Watcher::UnknownSince(const std::string& handle) const {
  const auto found = strangers_.find(handle);
  if (found == strangers_.end()) return std::nullopt;
  return found->second;
}

asio::awaitable<void> Watcher::DestroySpares(const Others& others) {
  for (const auto& [handle, view] : others.spares) {
    if (!subject_.MayDestroySpare(provider_.name(), view)) continue;
    absl::Status destroyed = co_await provider_.Destroy(handle, Deadline());
    subject_.OnCall(provider_.name(), "destroy", destroyed);
  }
}

asio::awaitable<void> Watcher::ReapOrphans(const Others& others) {
  std::map<std::string, base::BootTime> strangers;
  for (const auto& [handle, view] : others.strangers) {
    auto old = strangers_.find(handle);
    const base::BootTime since = old == strangers_.end() ? clock_.Boot() : old->second;
    strangers.emplace(handle, since);
    if (clock_.Boot() - since < options_.orphan_grace) continue;
    if (!subject_.MayDestroyOrphan(provider_.name(), view)) continue;
    absl::Status destroyed = co_await provider_.Destroy(handle, Deadline());
    subject_.OnCall(provider_.name(), "destroy", destroyed);
    if (destroyed.ok()) strangers.erase(handle);
  }
  strangers_ = std::move(strangers);
}

}  // namespace boxkeeper::watcher
