// What clients may know of the daemon: capacity, readiness, providers, sandboxes; and drain.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// Told by GetCapacity; enforced by the service (design section 6).
constexpr int64_t kItemsMax = 1'000;
constexpr int64_t kBatchBytesMax = 8 << 20;
constexpr int64_t kItemBytesMax = 1 << 20;

}  // namespace

v1::GetCapacityResponse Engine::GetCapacity() {
  v1::GetCapacityResponse response;
  for (const auto& [name, provider] : providers_) {
    auto& out = *response.add_providers();
    out.set_name(name);
    out.set_running(provider.sandboxes);
    out.set_max_running(provider.limits.max_running);
    int64_t free = options_.max_running - active_;
    if (provider.limits.max_running > 0)
      free = std::min(free, provider.limits.max_running - provider.sandboxes);
    if (!provider.opened || provider.unreachable_since.has_value()) free = 0;
    out.set_free(std::max<int64_t>(0, free));
  }
  response.set_running(active_);
  response.set_max_running(options_.max_running);
  response.set_queued(table_.count(v1::TASK_STATE_QUEUED));
  response.set_max_queued(options_.max_queued);
  response.set_accepting(started_ && !stopping_ && !table_.drain() && !journal_.out_of_space() &&
                         deps_.store.HasRoomForNewTasks());
  response.set_max_items(kItemsMax);
  response.set_max_batch_bytes(kBatchBytesMax);
  response.set_max_item_bytes(kItemBytesMax);
  if (deps_.decorate_capacity) deps_.decorate_capacity(response);
  return response;
}

std::vector<std::string> Engine::NotReadyBecause() const {
  std::vector<std::string> reasons;
  if (!started_) reasons.push_back("starting");
  if (stopping_) reasons.push_back("stopping");
  if (journal_.out_of_space()) {
    reasons.push_back("the state directory's disk is full");
  } else if (!deps_.store.HasRoomForNewTasks()) {
    reasons.push_back("the state directory's disk is almost full: new tasks are refused");
  }
  if (higher_epoch_ > 0) {
    reasons.push_back(absl::StrCat("sandboxes of ours (epoch ", higher_epoch_,
                                   ") exist that this store (epoch ", epoch_,
                                   ") never knew: it is older than the world (a restored backup?); "
                                   "nothing is destroyed"));
  }
  return reasons;
}

v1::GetStatusResponse Engine::GetStatus() {
  v1::GetStatusResponse response;
  response.set_version(options_.version);
  response.set_deployment_id(options_.deployment_id);
  response.set_epoch(epoch_);
  *response.mutable_started_at() = ToTimestamp(absl::ToUnixMillis(started_at_));
  *response.mutable_server_time() = ToTimestamp(NowMs());
  for (const std::string& reason : NotReadyBecause()) response.add_not_ready_because(reason);
  response.set_ready(response.not_ready_because().empty());
  response.set_draining(table_.drain());
  response.set_stopping(stopping_);
  for (int state = v1::TASK_STATE_QUEUED; state < v1::TaskState_ARRAYSIZE; ++state) {
    const auto typed = static_cast<v1::TaskState>(state);
    (*response.mutable_tasks())[std::string(StateName(typed))] = table_.count(typed);
  }
  response.set_unacknowledged_events(table_.unacknowledged_events());
  response.set_live_sandboxes(static_cast<int64_t>(table_.sandboxes().size()));
  response.set_state_dir(options_.state_dir);
  response.set_logs_url(options_.logs_url);
  for (const auto& [name, provider] : providers_) {
    for (const std::string& warning : provider.provider->warnings()) {
      response.add_warnings(absl::StrCat("provider ", name, ": ", warning));
    }
  }
  if (deps_.decorate_status) deps_.decorate_status(response);
  return response;
}

v1::ListProvidersResponse Engine::ListProviders() {
  v1::ListProvidersResponse response;
  for (const auto& [name, provider] : providers_) {
    v1::ProviderStatus& out = *response.add_providers();
    out.set_name(name);
    out.set_type(provider.provider->type());
    out.set_reachable(provider.opened && !provider.unreachable_since.has_value());
    if (provider.unreachable_since.has_value()) {
      *out.mutable_unreachable_since() =
          ToTimestamp(absl::ToUnixMillis(*provider.unreachable_since));
    }
    out.set_last_error(provider.last_error);
    out.set_running(provider.sandboxes);
    out.set_max_running(provider.limits.max_running);
    out.set_is_default(name == options_.default_provider);
    const pb::Capabilities& capabilities = provider.provider->capabilities();
    const auto* descriptor = pb::Capabilities::descriptor();
    const auto* reflection = pb::Capabilities::GetReflection();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const auto* field = descriptor->field(i);
      std::string text;
      if (field->is_repeated()) continue;
      if (field->type() == google::protobuf::FieldDescriptor::TYPE_BOOL) {
        text = reflection->GetBool(capabilities, field) ? "true" : "false";
      } else if (field->type() == google::protobuf::FieldDescriptor::TYPE_ENUM) {
        text = reflection->GetEnum(capabilities, field)->name();
      } else if (field->type() == google::protobuf::FieldDescriptor::TYPE_INT32) {
        text = absl::StrCat(reflection->GetInt32(capabilities, field));
      } else {
        continue;
      }
      (*out.mutable_capabilities())[field->name()] = text;
    }
    for (const std::string& warning : provider.provider->warnings()) out.add_warnings(warning);
  }
  return response;
}

absl::Status NoSuchProvider(const std::string& name) {
  return ApiError(absl::StatusCode::kNotFound, "PROVIDER_NOT_FOUND",
                  absl::StrCat("no provider \"", name, "\" is configured"));
}

asio::awaitable<absl::StatusOr<v1::ListSandboxesResponse>> Engine::ListSandboxes(
    v1::ListSandboxesRequest request) {
  v1::ListSandboxesResponse response;
  if (!request.provider().empty() && FindProvider(request.provider()) == nullptr) {
    co_return NoSuchProvider(request.provider());
  }
  for (auto& [name, provider] : providers_) {
    if (!request.provider().empty() && request.provider() != name) continue;
    std::string cursor;
    do {
      absl::StatusOr<pb::ListPage> page =
          co_await provider.provider->List(cursor, CallDeadline(provider));
      NoteCall(provider, "list", page.status());
      if (!page.ok()) {
        (*response.mutable_errors())[name] = std::string(page.status().message());
        break;
      }
      for (const pb::SandboxView& view : page->sandboxes()) AddSandbox(name, view, response);
      cursor = page->next_cursor();
    } while (!cursor.empty());
  }
  co_return response;
}

void Engine::AddSandbox(const std::string& provider, const pb::SandboxView& view,
                        v1::ListSandboxesResponse& response) {
  std::map<std::string, std::string> labels(view.labels().begin(), view.labels().end());
  const auto verified = deps_.naming.Verify(view.name(), labels, provider);
  v1::Sandbox& out = *response.add_sandboxes();
  out.set_name(view.name());
  out.set_provider(provider);
  std::string state = pb::SandboxView::State_Name(view.state());
  std::transform(state.begin(), state.end(), state.begin(), ::tolower);
  out.set_state(state);
  out.set_verified(verified.has_value() ? "ours" : "foreign");
  if (view.has_created_at()) *out.mutable_created_at() = view.created_at();
  if (!verified.has_value()) return;
  out.set_id(verified->id.ToString());
  out.set_epoch(verified->epoch);
  const SandboxRow* sandbox = table_.FindSandbox(verified->id);
  const TaskRow* row = sandbox == nullptr ? nullptr : table_.Find(sandbox->record.generation());
  if (row != nullptr) out.set_task_id(row->id.ToString());
}

asio::awaitable<absl::StatusOr<v1::DrainResponse>> Engine::Drain(v1::DrainRequest request) {
  if (table_.drain() == request.off()) {
    if (table_.drain_position() != 0) journal_.Delete(table_.drain_position());
    rec::Record record;
    record.mutable_drain()->set_on(!request.off());
    Write(record);
    RequestDispatch();
  }
  co_await Durable();
  v1::DrainResponse response;
  response.set_still_running(active_);
  co_return response;
}

}  // namespace boxkeeper::daemon
