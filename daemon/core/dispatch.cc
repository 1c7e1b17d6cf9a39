// From the ready queue to the provider: priorities, slots, and the batcher.
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/task_key.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// Dispatches in one go before the loop takes a breath (2 ms of work at the most, design section 2).
constexpr int kDispatchSlice = 256;

// 64 shards, by hash of the key (FNV-1a: stable over versions and machines).
int32_t ShardOf(const std::string& key) {
  uint64_t hash = 14695981039346656037ULL;
  for (const unsigned char c : key) hash = (hash ^ c) * 1099511628211ULL;
  constexpr uint64_t kShards = 64;
  return static_cast<int32_t>(hash % kShards);
}

}  // namespace

// Whatever lets something start asks again, so that no wake-up is spent while nothing can.
void Engine::RequestDispatch() {
  if (dispatch_requested_ || !MayDispatch() || NextToDispatch() == nullptr) return;
  dispatch_requested_ = true;
  asio::post(deps_.executor, [this, alive = std::weak_ptr<const bool>(alive_)] {
    if (alive.expired()) return;
    dispatch_requested_ = false;
    Dispatch();
  });
}

bool Engine::MayDispatch() const {
  if (base::Mutated("drain_ignored"))
    return started_ && !stopping_ && active_ < options_.max_running;
  if (base::Mutated("max_running_ignored")) return started_ && !stopping_ && !table_.drain();
  return started_ && !stopping_ && !table_.drain() && active_ < options_.max_running;
}

ProviderState* Engine::NextToDispatch() {
  ProviderState* best = nullptr;
  for (auto& [name, provider] : providers_) {
    if (provider.ready.empty() || provider.unreachable_since.has_value() || !provider.opened)
      continue;
    const int64_t max = provider.limits.max_running;
    if (max > 0 && provider.sandboxes >= max) continue;
    if (best == nullptr || *provider.ready.begin() < *best->ready.begin()) best = &provider;
  }
  return best;
}

void Engine::Dispatch() {
  for (int i = 0; i < kDispatchSlice; ++i) {
    if (!MayDispatch()) return;
    ProviderState* provider = NextToDispatch();
    if (provider == nullptr) return;
    const Generation generation = provider->ready.begin()->second;
    provider->ready.erase(provider->ready.begin());
    TaskRow* row = table_.Find(generation);
    if (row == nullptr || row->state() != v1::TASK_STATE_QUEUED) continue;
    DispatchOne(*provider, *row);
  }
  RequestDispatch();
}

void Engine::DispatchOne(ProviderState& provider, TaskRow& row) {
  if (Expired(row)) return Expire(row);
  const base::SandboxId id{deps_.rng.NewId()};
  rec::SandboxRecord sandbox;
  sandbox.set_id(IdBytes(id.id));
  sandbox.set_provider(provider.name);
  sandbox.set_generation(row.generation);
  sandbox.set_attempt(row.status.attempt() + 1);
  sandbox.set_state(rec::SandboxRecord::CREATE_INTENDED);
  sandbox.set_epoch(epoch_);
  sandbox.set_shard(ShardOf(*row.key));
  sandbox.set_incarnation(incarnation_);
  sandbox.set_birth_position(journal_.next_position());
  WriteSandbox(std::move(sandbox));
  Move(row, TaskEvent::kDispatched, [&id](rec::TaskStatus& status) {
    status.set_attempt(status.attempt() + 1);
    status.set_sandbox_id(IdBytes(id.id));
    status.clear_not_before_ms();
    status.clear_not_before_boot_ms();
    status.clear_message();
  });
  // Intent before effect: the create may leave only when the intent is synced (I4).
  if (base::Mutated("create_before_intent")) return AddToBatch(id);
  journal_.WhenSynced([this, id] { AddToBatch(id); });
}

bool Engine::Expired(const TaskRow& row) const {
  if (row.start_deadline_ms == 0) return false;
  const auto left = std::chrono::milliseconds(row.start_deadline_ms - row.accepted_at_ms);
  return Instant(row.accepted_position, row.accepted_boot_ms, row.accepted_at_ms) + left <=
         deps_.clock.Boot();
}

void Engine::Expire(TaskRow& row) {
  Unlist(row);
  SandboxRow* sandbox = table_.SandboxOf(row);
  Move(row, TaskEvent::kExpired, [](rec::TaskStatus& status) {
    status.set_reason(v1::REASON_EXPIRED);
    status.set_message("its start_deadline passed before it could start");
    MarkNeverStarted(status);
  });
  if (sandbox != nullptr && sandbox->record.state() == rec::SandboxRecord::READY) Cleanup(*sandbox);
}

std::string Engine::WaitingFor(const TaskRow& row) {
  if (row.state() != v1::TASK_STATE_QUEUED) return "";
  const KeyEntry* key = table_.FindKey(*row.key);
  if (key != nullptr && key->live != row.generation) {
    const TaskRow* live = table_.Find(key->live);
    if (live != nullptr) return absl::StrCat("predecessor ", live->id.ToString());
  }
  if (row.status.not_before_ms() > NowMs()) {
    return absl::StrCat("back-off after: ", row.status.message());
  }
  const ProviderState* provider = FindProvider(row.provider);
  if (provider == nullptr) return "";
  if (table_.drain()) return "drain";
  if (provider->held.contains({-row.priority, row.generation})) {
    if (higher_epoch_ == 0) return absl::StrCat("the first look at provider ", provider->name);
    return "an operator: the store is older than the world, so it may have run (boxctl orphans)";
  }
  if (stopping_) return "the next start of the daemon";
  if (!provider->opened || provider->unreachable_since.has_value()) {
    return absl::StrCat("provider ", provider->name, " is not reachable");
  }
  if (active_ >= options_.max_running) return "max_running";
  if (provider->limits.max_running > 0 && provider->sandboxes >= provider->limits.max_running) {
    return absl::StrCat("max_running of provider ", provider->name);
  }
  return "";
}

// The first create goes at once; while one is on its way others collect, up to creation_batch_size
// or creation_batch_wait: batches form under load without slowing a single task down.
void Engine::AddToBatch(const base::SandboxId& id) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr || stopping_) return;
  ProviderState* provider = FindProvider(sandbox->record.provider());
  if (provider == nullptr) return;
  if (IsOneStep(provider->name)) creating_.insert(id);
  provider->to_create.push_back(id);
  if (provider->to_create.size() == 1) {
    provider->batch_due = provider->batches_in_flight == 0;
    provider->batch_alarm->Set(deps_.clock.Boot() + options_.creation_batch_wait, [this, provider] {
      provider->batch_due = true;
      FlushBatches(*provider);
    });
  }
  // Let the other outputs of this sync join first.
  asio::post(deps_.executor, [this, provider, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) FlushBatches(*provider);
  });
}

void Engine::FlushBatches(ProviderState& provider) {
  const size_t size = std::max<size_t>(1, options_.creation_batch_size);
  while (!stopping_ && !provider.to_create.empty() &&
         (provider.creates_in_flight < provider.limits.create_concurrency ||
          base::Mutated("create_concurrency_ignored"))) {
    if (!provider.batch_due && provider.to_create.size() < size) return;
    const size_t room = base::Mutated("create_concurrency_ignored")
                            ? size
                            : provider.limits.create_concurrency - provider.creates_in_flight;
    const size_t count = std::min({size, room, provider.to_create.size()});
    std::vector<base::SandboxId> ids(provider.to_create.begin(),
                                     provider.to_create.begin() + count);
    provider.to_create.erase(provider.to_create.begin(), provider.to_create.begin() + count);
    provider.creates_in_flight += static_cast<int>(count);
    ++provider.batches_in_flight;
    Spawn("create", [this, &provider, ids = std::move(ids)] { return RunBatch(provider, ids); });
  }
  if (provider.to_create.empty()) provider.batch_due = false;
}

pb::CreateRequest Engine::MakeCreateRequest(const SandboxRow& sandbox,
                                            const v1::SandboxSpec& spec) const {
  pb::CreateRequest request;
  request.set_sandbox_id(sandbox.id.ToString());
  request.set_name(deps_.naming.Name(sandbox.id));
  const rec::SandboxRecord& record = sandbox.record;
  const base::Birth birth{record.incarnation(), record.birth_position()};
  for (const auto& [key, value] :
       deps_.naming.Labels(sandbox.id, record.provider(), record.shard(), record.epoch(), birth)) {
    (*request.mutable_labels())[key] = value;
  }
  *request.mutable_spec() = spec;
  // Env and secrets belong to Start: a created sandbox is anonymous.
  request.mutable_spec()->clear_env();
  return request;
}

void Engine::DropUncreated(SandboxRow& sandbox) {
  // An earlier process may have sent a create of its own for it: look before it is forgotten.
  if (sandbox.record.epoch() != epoch_) return Cleanup(sandbox);
  ForgetSandbox(sandbox);
}

// nullopt: there is nothing to create.
asio::awaitable<std::optional<pb::CreateRequest>> Engine::PrepareCreate(base::SandboxId id) {
  SandboxRow* sandbox = table_.FindSandbox(id);
  if (sandbox == nullptr) co_return std::nullopt;
  const Generation generation = sandbox->record.generation();
  absl::StatusOr<rec::Accepted> accepted = co_await ReadAccepted(generation);
  sandbox = table_.FindSandbox(id);
  // Handed over meanwhile: the next start goes on from the intent.
  if (sandbox == nullptr || stopping_) co_return std::nullopt;
  TaskRow* row = table_.Find(generation);
  // Cancelled or expired before the create left.
  if (!IsToBeCreated(row, *sandbox)) {
    DropUnwanted(*sandbox);
    co_return std::nullopt;
  }
  if (!accepted.ok()) {
    const std::string why(accepted.status().message());
    CreateFailed(row, *sandbox, providers::MakeProviderError(pb::TRANSIENT, why, true));
    co_return std::nullopt;
  }
  pb::CreateRequest request = MakeCreateRequest(*sandbox, accepted->spec());
  if (!IsOneStep(row->provider)) co_return request;
  const bool intended = co_await IntendCreate(id, request);
  if (intended) co_return request;
  creating_.erase(id);
  co_return std::nullopt;
}

asio::awaitable<void> Engine::RunBatch(ProviderState& provider, std::vector<base::SandboxId> ids) {
  std::vector<pb::CreateRequest> requests;
  std::vector<base::SandboxId> asked;
  for (const base::SandboxId& id : ids) {
    std::optional<pb::CreateRequest> request = co_await PrepareCreate(id);
    if (!request.has_value()) {
      --provider.creates_in_flight;
      continue;
    }
    requests.push_back(*std::move(request));
    asked.push_back(id);
  }
  // User code may run from here: the create leaves only when that is durable (I4).
  if (!requests.empty() && IsOneStep(provider.name)) {
    if (!base::Mutated("one_step_before_intent")) co_await Durable();
    provider.creates_in_flight -= static_cast<int>(KeepCreatable(asked, requests));
  }
  if (!requests.empty()) {
    CallScope call(calls_);
    // Each answer frees its place at once: one that hangs does not hold the others'.
    auto done = [this, asked, &provider](size_t i, pb::CreateOutcome outcome) {
      base::Failpoint("create.after_answer");
      --provider.creates_in_flight;
      absl::Status status;
      if (outcome.has_error()) status = providers::MakeError(outcome.error());
      NoteCall(provider, "create", status);
      // Given up by the hand-over: the next start asks again under the same name.
      const bool unknown = outcome.has_error() && !outcome.error().proves_no_effect();
      if (!stopping_ || !unknown) OnCreateOutcome(asked[i], outcome);
      FlushBatches(provider);
    };
    const base::BootTime deadline = deps_.clock.Boot() + options_.create_timeout;
    base::Failpoint("create.before_call");
    co_await provider.provider->Create(std::move(requests), deadline, std::move(done));
  }
  --provider.batches_in_flight;
  if (provider.batches_in_flight == 0) provider.batch_due = true;
  FlushBatches(provider);
}

}  // namespace boxkeeper::daemon
