// Sandboxes that no task holds: which are ours, and when they may be destroyed. Conservative (I6):
// a verified label, no live lease, unknown for the whole grace period, and no sign that this store
// is older than the world.

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

namespace {

std::string WholeSeconds(base::BootClock::duration time) {
  return absl::StrCat(std::chrono::duration_cast<std::chrono::seconds>(time).count(), " s");
}

}  // namespace

std::optional<OrphanVerdict> Engine::JudgeOrphan(const std::string& provider,
                                                 const pb::SandboxView& view,
                                                 base::BootClock::duration unknown_for,
                                                 int64_t accepted) {
  const std::map<std::string, std::string> labels(view.labels().begin(), view.labels().end());
  const auto verified = deps_.naming.Verify(view.name(), labels, provider);
  if (!verified) {
    return OrphanVerdict{v1::Orphan::FOREIGN, "its labels do not verify as ours: never touched"};
  }
  if (table_.FindSandbox(verified->id) != nullptr) return std::nullopt;
  // A name can be copied by whoever sees it; labels cannot be made.
  if (labels.empty() && !base::Mutated("orphan_by_name_alone")) {
    return OrphanVerdict{v1::Orphan::FOREIGN,
                         "its name is one of ours, but no label proves it: never touched"};
  }
  const int64_t forgotten =
      std::max(higher_epoch_, IsForgotten(*verified) ? verified->epoch : int64_t{0});
  if (forgotten > accepted) {
    return OrphanVerdict{
        v1::Orphan::HELD_BACK,
        absl::StrCat("sandboxes of ours (epoch ", forgotten, ") exist that this store (epoch ",
                     epoch_,
                     ") never knew, so it may have forgotten tasks that hold them (a restored "
                     "backup?)")};
  }
  if (unknown_for < options_.orphan_grace) {
    return OrphanVerdict{v1::Orphan::WAITING,
                         absl::StrCat("no task has held it for ", WholeSeconds(unknown_for), " of ",
                                      WholeSeconds(options_.orphan_grace))};
  }
  return OrphanVerdict{v1::Orphan::DUE,
                       absl::StrCat("made by us in epoch ", verified->epoch,
                                    ", and no task has held it for ", WholeSeconds(unknown_for))};
}

// The watcher asks once the grace period is over.
bool Engine::MayDestroyOrphan(const std::string& provider, const pb::SandboxView& view) {
  if (stopping_) return false;
  const auto verdict = JudgeOrphan(provider, view, options_.orphan_grace, 0);
  if (!verdict || verdict->decision != v1::Orphan::DUE) return false;
  base::LogWarning(
      "orphan destroyed",
      {{"provider", provider}, {"sandbox", view.name()}, {"because", verdict->explanation}});
  return true;
}

asio::awaitable<absl::Status> Engine::FindOrphans(ProviderState& provider, int64_t accepted,
                                                  std::vector<FoundOrphan>* found) {
  std::string cursor;
  do {
    absl::StatusOr<pb::ListPage> page =
        co_await provider.provider->List(cursor, CallDeadline(provider));
    NoteCall(provider, "list", page.status());
    CO_RETURN_IF_ERROR(page.status());
    for (const pb::SandboxView& view : page->sandboxes()) {
      const auto since = provider.watcher == nullptr
                             ? std::nullopt
                             : provider.watcher->UnknownSince(view.handle());
      const auto unknown_for =
          since ? deps_.clock.Boot() - *since : base::BootClock::duration::zero();
      const auto verdict = JudgeOrphan(provider.name, view, unknown_for, accepted);
      if (!verdict) continue;
      FoundOrphan one;
      one.handle = view.handle();
      one.orphan.set_name(view.name());
      one.orphan.set_provider(provider.name);
      if (view.has_created_at()) *one.orphan.mutable_created_at() = view.created_at();
      if (since) {
        const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(unknown_for);
        *one.orphan.mutable_unknown_since() = ToTimestamp(NowMs() - ago.count());
      }
      one.orphan.set_decision(verdict->decision);
      one.orphan.set_explanation(verdict->explanation);
      const std::map<std::string, std::string> labels(view.labels().begin(), view.labels().end());
      if (const auto verified = deps_.naming.Verify(view.name(), labels, provider.name)) {
        one.orphan.set_id(verified->id.ToString());
        one.orphan.set_epoch(verified->epoch);
      }
      found->push_back(std::move(one));
    }
    const bool endless = !page->next_cursor().empty() && page->next_cursor() == cursor;
    if (endless) co_return absl::InternalError("the list does not end");
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<v1::ListOrphansResponse>> Engine::ListOrphans(
    v1::ListOrphansRequest request) {
  if (!request.provider().empty() && FindProvider(request.provider()) == nullptr) {
    co_return NoSuchProvider(request.provider());
  }
  v1::ListOrphansResponse response;
  for (auto& [name, provider] : providers_) {
    if (!request.provider().empty() && request.provider() != name) continue;
    std::vector<FoundOrphan> found;
    absl::Status listed = co_await FindOrphans(provider, 0, &found);
    if (!listed.ok()) (*response.mutable_errors())[name] = std::string(listed.message());
    for (FoundOrphan& one : found) response.add_orphans()->Swap(&one.orphan);
  }
  response.set_epoch(epoch_);
  response.set_higher_epoch(higher_epoch_);
  co_return response;
}

asio::awaitable<absl::StatusOr<v1::ReapOrphansResponse>> Engine::ReapOrphans(
    v1::ReapOrphansRequest request) {
  if (!request.provider().empty() && FindProvider(request.provider()) == nullptr) {
    co_return NoSuchProvider(request.provider());
  }
  absl::Status accepted = AcceptEpoch(request.accept_epoch(), request.dry_run());
  CO_RETURN_IF_ERROR(accepted);
  // Before any provider hears of it (I4).
  co_await Durable();
  v1::ReapOrphansResponse response;
  for (auto& [name, provider] : providers_) {
    if (!request.provider().empty() && request.provider() != name) continue;
    std::vector<FoundOrphan> found;
    absl::Status listed = co_await FindOrphans(provider, request.accept_epoch(), &found);
    if (!listed.ok()) (*response.mutable_errors())[name] = std::string(listed.message());
    for (FoundOrphan& one : found) {
      v1::Orphan& out = *response.add_orphans();
      out.Swap(&one.orphan);
      if (request.dry_run() || out.decision() != v1::Orphan::DUE || stopping_) continue;
      base::LogWarning(
          "orphan destroyed on request",
          {{"provider", name}, {"sandbox", out.name()}, {"because", out.explanation()}});
      absl::Status destroyed =
          co_await provider.provider->Destroy(one.handle, CallDeadline(provider));
      NoteCall(provider, "destroy", destroyed);
      out.set_decision(destroyed.ok() ? v1::Orphan::DESTROYED : v1::Orphan::FAILED);
      if (!destroyed.ok()) out.set_explanation(std::string(destroyed.message()));
    }
  }
  response.set_epoch(epoch_);
  co_return response;
}

}  // namespace boxkeeper::daemon
