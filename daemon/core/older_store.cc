// Which starts of the daemon this store knows. A verified sandbox of another one, or one that was
// made after what this store knows of its start, says that the store is older than the world: a
// restored backup (ADR 0010). Then nothing is destroyed, and nothing is started that an earlier
// start of the daemon accepted, until an operator accepts it.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// Starts that are kept: 20 bytes each in Meta. Sandboxes of still older ones are judged by their
// epoch alone.
constexpr size_t kIncarnationsMax = 256;

}  // namespace

void Engine::BeginIncarnation(Position last) {
  const rec::Meta& meta = table_.meta();
  accepted_epoch_ = meta.accepted_epoch();
  incarnations_.assign(meta.incarnations().begin(), meta.incarnations().end());
  if (!incarnations_.empty()) incarnations_.back().set_last_position(last);
  do {
    incarnation_ = deps_.rng.Next();
  } while (incarnation_ == 0);  // which means "not known"
  rec::Incarnation now;
  now.set_id(incarnation_);
  now.set_epoch(epoch_);
  incarnations_.push_back(std::move(now));
}

bool Engine::IsForgotten(const VerifiedSandbox& sandbox) const {
  if (base::Mutated("older_store_not_noticed")) return false;
  if (sandbox.epoch <= accepted_epoch_) return false;
  if (sandbox.epoch > epoch_) return true;
  const bool judged_by_epoch =
      sandbox.birth.incarnation == 0 || sandbox.epoch < incarnations_.front().epoch();
  if (judged_by_epoch) return false;
  const auto known = std::find_if(
      incarnations_.begin(), incarnations_.end(),
      [&](const rec::Incarnation& one) { return one.id() == sandbox.birth.incarnation; });
  if (known == incarnations_.end()) return true;
  // Intents are synced before anything is made: only a store that lost some can be behind one.
  return known->last_position() != 0 && sandbox.birth.position > known->last_position();
}

void Engine::NoteForgotten(const std::string& provider, const std::string& name, int64_t epoch) {
  if (epoch <= higher_epoch_) return;
  higher_epoch_ = epoch;
  for (auto& [name, provider] : providers_) Hold(provider);
  base::LogError("a sandbox of ours that this store never knew: it is older than the world",
                 {{"provider", provider}, {"sandbox", name}, {"epoch", epoch}});
}

// What this store has as queued may have run since the backup. Tasks of earlier starts wait for the
// first look at their provider, and where the store turns out to be older than the world for an
// operator. That look may fail: then nothing speaks against them.
bool Engine::IsHeld(const ProviderState& provider, Generation generation) const {
  return generation < first_generation_ && (higher_epoch_ != 0 || !provider.tried);
}

void Engine::Hold(ProviderState& provider) {
  for (auto it = provider.ready.begin(); it != provider.ready.end();) {
    if (!IsHeld(provider, it->second)) {
      ++it;
      continue;
    }
    provider.held.insert(*it);
    it = provider.ready.erase(it);
  }
}

void Engine::Release(ProviderState& provider) {
  if (provider.held.empty()) return;
  if (provider.ready.empty()) {
    provider.ready.swap(provider.held);
  } else {
    provider.ready.insert(provider.held.begin(), provider.held.end());
    provider.held.clear();
  }
  RequestDispatch();
}

void Engine::NoteCycle(ProviderState& provider, const absl::Status& status) {
  provider.tried = true;
  if (status.ok()) provider.looked = true;
  if (higher_epoch_ == 0) Release(provider);
}

// Only after every provider was looked at without a sign that the store is older than the world: a
// daemon that starts again and again without getting that far must not forget what it would need.
void Engine::DropOldIncarnations() {
  if (higher_epoch_ != 0 || incarnations_.size() <= kIncarnationsMax) return;
  for (const auto& [name, provider] : providers_) {
    if (!provider.looked) return;
  }
  incarnations_.erase(incarnations_.begin(), incarnations_.end() - kIncarnationsMax);
}

absl::Status Engine::AcceptEpoch(int64_t accepted, bool dry_run) {
  if (accepted != 0 && accepted != higher_epoch_) {
    return ApiError(absl::StatusCode::kFailedPrecondition, "EPOCH_NOT_SEEN",
                    higher_epoch_ == 0
                        ? std::string("no sandbox that this store never knew is seen")
                        : absl::StrCat("the epoch of those that this store never knew is ",
                                       higher_epoch_, ", not ", accepted));
  }
  if (accepted == 0 || dry_run) return absl::OkStatus();
  base::LogWarning("epoch accepted: what this store does not know may be destroyed",
                   {{"epoch", accepted}, {"was", epoch_}});
  accepted_epoch_ = std::max(accepted_epoch_, accepted);
  // What is made from here on can be told from what was accepted.
  epoch_ = std::max(epoch_, accepted) + 1;
  higher_epoch_ = 0;
  for (auto& [name, provider] : providers_) {
    if (provider.tried) Release(provider);
  }
  WriteMeta();
  return absl::OkStatus();
}

}  // namespace boxkeeper::daemon
