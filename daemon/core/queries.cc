// What clients may know: views of tasks, lists, waiting, capacity, status.
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/task_key.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// Rows looked at before the loop takes a breath.
constexpr int kRowsPerSlice = 512;
constexpr int32_t kPageDefault = 100;
constexpr int32_t kPageMax = 1'000;
// A page ends early above this: half of what gRPC clients accept by default (4 MiB).
constexpr size_t kPageBytesMax = 2 << 20;
// Told by GetCapacity; enforced by the service (design section 6).
constexpr int64_t kItemsMax = 1'000;
constexpr int64_t kBatchBytesMax = 8 << 20;
constexpr int64_t kItemBytesMax = 1 << 20;

absl::Status TaskNotFound(const std::string& what) {
  return ApiError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                  absl::StrCat("no task ", what, " (results are kept for `retention`)"));
}

// The fields of the end were not known at an event before it.
void FillEnd(const rec::TaskStatus& status, v1::Task& task) {
  task.set_reason(status.reason());
  if (status.has_exit_code()) task.set_exit_code(status.exit_code());
  if (status.has_signal()) task.set_signal(status.signal());
  task.set_attester(status.attester());
  if (status.has_peak_memory_bytes()) task.set_peak_memory_bytes(status.peak_memory_bytes());
  if (status.has_cpu_seconds()) task.set_cpu_seconds(status.cpu_seconds());
  if (status.ended_at_ms() != 0) *task.mutable_ended_at() = ToTimestamp(status.ended_at_ms());
  v1::LogStatus& log = *task.mutable_log();
  log.set_stdout_bytes(status.stdout_bytes());
  log.set_stderr_bytes(status.stderr_bytes());
  log.set_dropped_bytes(status.dropped_bytes());
  if (status.has_outputs()) *task.mutable_outputs() = status.outputs();
  log.set_incomplete(status.log_incomplete());
}

}  // namespace

TaskRow* Engine::Resolve(const v1::TaskRef& ref) {
  if (ref.has_key()) {
    const KeyEntry* key = table_.FindKey(base::KeyString(ref.key()));
    return key == nullptr ? nullptr : table_.Find(key->newest());
  }
  auto id = base::Id128::Parse(ref.id());
  return id.has_value() ? table_.FindById({*id}) : nullptr;
}

v1::Task Engine::BuildView(const TaskRow& row, const rec::Accepted& accepted,
                           const EventEntry* as_of) {
  const rec::TaskStatus& status = row.status;
  const v1::TaskState state = as_of == nullptr ? row.state() : as_of->state;
  v1::Task task;
  task.set_id(row.id.ToString());
  task.set_submission_id(row.submission_id.id.ToUuid());
  *task.mutable_key() = accepted.key();
  task.set_key_string(*row.key);
  task.set_owner(row.owner->name);
  task.set_generation(row.generation);
  task.set_state(state);
  *task.mutable_accepted_at() = ToTimestamp(row.accepted_at_ms);
  *task.mutable_labels() = accepted.labels();
  *task.mutable_command() = accepted.command();
  *task.mutable_spec() = accepted.spec();
  *task.mutable_secret_names() = accepted.secret_names();
  task.set_attempt(status.attempt());
  if (IsTerminal(state)) {
    FillEnd(status, task);
  } else if (state == v1::TASK_STATE_STOPPING) {
    task.set_reason(status.stop().reason());
  }
  if (IsTerminal(state) || as_of == nullptr) task.set_message(status.message());
  if (IsTerminal(state) || state >= v1::TASK_STATE_RUNNING) {
    task.set_user_code_started(status.user_code_started());
    if (status.started_at_ms() != 0)
      *task.mutable_started_at() = ToTimestamp(status.started_at_ms());
  }
  LogTask log_task;
  log_task.generation = row.generation;
  log_task.id = row.id;
  log_task.key = accepted.key();
  log_task.spec = accepted.spec().log();
  v1::LogStatus& log = *task.mutable_log();
  log.set_layout(accepted.spec().log().layout());
  if (log_port_ != nullptr) log.set_path(log_port_->LogPath(log_task));
  const bool log_known = as_of == nullptr || as_of->type == v1::EVENT_TYPE_LOG_COMPLETE;
  log.set_complete(log_known && status.log_complete());
  if (auto id = IdFromBytes(status.sandbox_id()); id.ok() && state != v1::TASK_STATE_QUEUED) {
    v1::SandboxStatus& sandbox = *task.mutable_sandbox();
    sandbox.set_id(id->ToString());
    sandbox.set_name(deps_.naming.Name({*id}));
    sandbox.set_provider(row.provider);
    sandbox.set_isolation(status.isolation());
    sandbox.set_limits(status.limits());
    sandbox.set_gone(as_of == nullptr && table_.FindSandbox({*id}) == nullptr);
  }
  if (as_of != nullptr) return task;
  task.set_waiting_for(WaitingFor(row));
  const KeyEntry* key = table_.FindKey(*row.key);
  if (key != nullptr && key->live == row.generation) {
    if (const TaskRow* successor = table_.Find(key->successor))
      task.set_successor_id(successor->id.ToString());
  }
  const ProviderState* provider = FindProvider(row.provider);
  if (provider != nullptr && provider->unreachable_since.has_value() && IsActive(state)) {
    *task.mutable_provider_unreachable_since() =
        ToTimestamp(absl::ToUnixMillis(*provider->unreachable_since));
  }
  for (const std::string& note : row.notes) task.add_notes(note);
  return task;
}

asio::awaitable<absl::StatusOr<v1::Task>> Engine::View(Generation generation,
                                                       const EventEntry* as_of) {
  absl::StatusOr<rec::Accepted> accepted = co_await ReadAccepted(generation);
  if (!accepted.ok()) co_return accepted.status();
  const TaskRow* row = table_.Find(generation);
  if (row == nullptr) co_return absl::NotFoundError("the task was compacted");
  co_return BuildView(*row, *accepted, as_of);
}

asio::awaitable<absl::StatusOr<v1::Task>> Engine::GetTask(v1::GetTaskRequest request) {
  TaskRow* row = Resolve(request.task());
  if (request.generation() != 0) {
    TaskRow* exact = table_.Find(request.generation());
    const bool same_key = exact != nullptr && request.task().has_key() &&
                          *exact->key == base::KeyString(request.task().key());
    row = same_key ? exact : nullptr;
  }
  if (row == nullptr) {
    co_return TaskNotFound(request.task().has_key() ? base::KeyString(request.task().key())
                                                    : request.task().id());
  }
  const Generation generation = row->generation;
  absl::StatusOr<v1::Task> view = co_await View(generation, nullptr);
  co_await Durable();
  co_return view;
}

bool Engine::Matches(const TaskRow& row, const v1::TaskFilter& filter,
                     const rec::Accepted* accepted) const {
  if (!row.key->starts_with(filter.key_prefix())) return false;
  if (filter.has_owner() && filter.owner() != row.owner->name) return false;
  if (!filter.states().empty()) {
    bool any = false;
    for (const int state : filter.states()) any = any || state == row.state();
    if (!any) return false;
  }
  if (accepted == nullptr) return true;
  for (const auto& [label, value] : filter.labels()) {
    auto it = accepted->labels().find(label);
    if (it == accepted->labels().end() || it->second != value) return false;
  }
  return true;
}

// At most `max` matching tasks below generation `below`, newest first.
asio::awaitable<std::vector<Generation>> Engine::Select(v1::TaskFilter filter, Generation below,
                                                        size_t max) {
  std::vector<Generation> out;
  int looked = 0;
  while (out.size() < max) {
    auto it = table_.tasks().lower_bound(below);
    if (it == table_.tasks().begin()) break;
    --it;
    below = it->first;
    const TaskRow& row = *it->second;
    if (++looked % kRowsPerSlice == 0) {
      co_await asio::post(deps_.executor, asio::use_awaitable);
      below += 1;  // the row may be gone: look it up again
      continue;
    }
    if (!Matches(row, filter, nullptr)) continue;
    if (!filter.labels().empty()) {
      const Generation generation = row.generation;
      absl::StatusOr<rec::Accepted> accepted = co_await ReadAccepted(generation);
      const TaskRow* again = table_.Find(generation);
      if (!accepted.ok() || again == nullptr || !Matches(*again, filter, &*accepted)) continue;
    }
    out.push_back(below);
  }
  co_return out;
}

asio::awaitable<absl::StatusOr<v1::ListTasksResponse>> Engine::ListTasks(
    v1::ListTasksRequest request) {
  Generation below = INT64_MAX;
  const std::string& token = request.page_token();
  if (!token.empty() && (token[0] != 'g' || !absl::SimpleAtoi(token.substr(1), &below))) {
    ApiErrorDetails details;
    details.violations = {
        {"page_token", "must be the next_page_token of the page before, or empty"}};
    co_return ApiError(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN", "bad page token",
                       details);
  }
  v1::ListTasksResponse response;
  if (token.empty()) response.set_snapshot_cursor(CursorText(journal_.next_position() - 1));
  const int32_t size =
      request.page_size() == 0 ? kPageDefault : std::min(request.page_size(), kPageMax);
  std::vector<Generation> chosen = co_await Select(request.filter(), below, size + 1);
  bool more = chosen.size() > static_cast<size_t>(size);
  if (more) chosen.pop_back();
  Generation last = below;
  size_t bytes = 0;
  for (const Generation generation : chosen) {
    absl::StatusOr<v1::Task> view = co_await View(generation, nullptr);
    if (view.ok()) {
      bytes += view->ByteSizeLong();
      if (bytes > kPageBytesMax && response.tasks_size() > 0) {
        more = true;
        break;
      }
      *response.add_tasks() = *std::move(view);
    }
    last = generation;
  }
  if (more) response.set_next_page_token(absl::StrCat("g", last));
  co_await Durable();
  co_return response;
}

asio::awaitable<absl::StatusOr<v1::WaitTaskResponse>> Engine::WaitTask(
    v1::WaitTaskRequest request) {
  std::vector<Generation> wanted;
  for (const std::string& id : request.ids()) {
    v1::TaskRef ref;
    ref.set_id(id);
    TaskRow* row = Resolve(ref);
    if (row == nullptr) co_return TaskNotFound(id);
    wanted.push_back(row->generation);
  }
  auto reached = [this, until = request.until()](Generation generation) {
    const TaskRow* row = table_.Find(generation);
    if (row == nullptr) return true;
    if (until == v1::WaitTaskRequest::RUNNING) return row->state() >= v1::TASK_STATE_RUNNING;
    if (until == v1::WaitTaskRequest::LOG_COMPLETE)
      return IsTerminal(row->state()) && row->status.log_complete();
    return IsTerminal(row->state());
  };
  auto changed = std::make_shared<base::WaitList>(deps_.clock);
  for (const Generation generation : wanted) waiters_[generation].push_back(changed);
  const std::chrono::milliseconds timeout(ToMillis(request.timeout()));
  const base::BootTime deadline =
      timeout.count() > 0 ? deps_.clock.Boot() + timeout : base::BootTime::max();
  absl::Status waited;
  bool all = false;
  while (waited.ok() && !stopping_) {
    all = std::all_of(wanted.begin(), wanted.end(), reached);
    if (all) break;
    waited = co_await changed->Wait(deadline);
  }
  for (const Generation generation : wanted) {
    auto it = waiters_.find(generation);
    if (it == waiters_.end()) continue;
    std::erase_if(it->second, [&changed](const std::weak_ptr<base::WaitList>& one) {
      return one.lock() == changed;
    });
    if (it->second.empty()) waiters_.erase(it);
  }
  if (absl::IsCancelled(waited)) co_return waited;
  if (stopping_ && !all) {
    co_return ApiError(absl::StatusCode::kUnavailable, "NOT_SERVING",
                       "the daemon is stopping; ask again");
  }
  v1::WaitTaskResponse response;
  for (const Generation generation : wanted) {
    absl::StatusOr<v1::Task> view = co_await View(generation, nullptr);
    if (!view.ok()) co_return view.status();
    *response.add_tasks() = *std::move(view);
  }
  response.set_timed_out(!all);
  co_await Durable();
  co_return response;
}

absl::StatusOr<std::unique_ptr<LogStream>> Engine::ReadLog(v1::ReadLogRequest request) {
  v1::TaskRef ref;
  ref.set_id(request.id());
  TaskRow* row = Resolve(ref);
  if (row == nullptr) return TaskNotFound(request.id());
  if (log_port_ == nullptr) {
    return ApiError(absl::StatusCode::kUnimplemented, "NO_LOGS", "this daemon keeps no logs");
  }
  // Opened by the port when it first reads: the accepted record may have to come from the store.
  const Generation generation = row->generation;
  auto describe = [this, generation]() -> asio::awaitable<absl::StatusOr<LogTask>> {
    return DescribeLog(generation);
  };
  auto end = [this, generation]() {
    LogEnd known;
    const TaskRow* now = table_.Find(generation);
    if (now == nullptr) return known;
    // Not before it is durable.
    known.ended = now->end_position != 0 && now->end_position <= journal_.synced();
    known.stdout_bytes = now->status.stdout_bytes();
    known.stderr_bytes = now->status.stderr_bytes();
    known.dropped_bytes = now->status.dropped_bytes();
    return known;
  };
  return log_port_->Open(row->id, std::move(describe), std::move(end), std::move(request));
}

absl::StatusOr<TaskRow*> Engine::ResolveEnded(const v1::TaskRef& ref) {
  TaskRow* row = Resolve(ref);
  if (row == nullptr) return TaskNotFound(ref.has_key() ? base::KeyString(ref.key()) : ref.id());
  if (log_port_ == nullptr) {
    return ApiError(absl::StatusCode::kUnimplemented, "NO_LOGS", "this daemon keeps no logs");
  }
  if (row->end_position == 0 || row->end_position > journal_.synced()) {
    return ApiError(absl::StatusCode::kFailedPrecondition, "TASK_NOT_ENDED",
                    "outputs are collected when the task has ended; wait for it");
  }
  return row;
}

asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> Engine::ListArtifacts(
    v1::ListArtifactsRequest request) {
  absl::StatusOr<TaskRow*> row = ResolveEnded(request.task());
  if (!row.ok()) co_return row.status();
  v1::ListArtifactsResponse response;
  response.set_id((*row)->id.ToString());
  if (!(*row)->has_outputs) co_return response;
  *response.mutable_outputs() = (*row)->status.outputs();
  const base::TaskId id = (*row)->id;
  const bool complete = (*row)->status.log_complete();
  absl::StatusOr<v1::OutputsStatus> listed = co_await log_port_->ListArtifacts(id, complete);
  // Of a task that was lost nobody attested them; they may be there all the same.
  if (!listed.ok() && !absl::IsNotFound(listed.status())) co_return listed.status();
  if (listed.ok()) *response.mutable_outputs() = *std::move(listed);
  co_return response;
}

absl::StatusOr<std::unique_ptr<ArtifactStream>> Engine::ReadArtifact(
    v1::ReadArtifactRequest request) {
  absl::StatusOr<TaskRow*> row = ResolveEnded(request.task());
  if (!row.ok()) return row.status();
  const bool complete = (*row)->status.log_complete();
  return log_port_->OpenArtifact((*row)->id, complete, std::move(request));
}

asio::awaitable<absl::StatusOr<LogTask>> Engine::DescribeLog(Generation generation) {
  absl::StatusOr<rec::Accepted> accepted = co_await ReadAccepted(generation);
  if (!accepted.ok()) co_return accepted.status();
  absl::StatusOr<rec::SecretBundle> opened = co_await OpenSecrets(generation);
  if (!opened.ok()) co_return opened.status();
  const TaskRow* row = table_.Find(generation);
  if (row == nullptr) co_return TaskNotFound("any more");
  LogTask task;
  task.generation = generation;
  task.id = row->id;
  task.key = accepted->key();
  task.spec = accepted->spec().log();
  task.accepted_at_ms = row->accepted_at_ms;
  task.has_outputs = row->has_outputs;
  for (const auto& [name, value] : opened->env()) task.secrets.push_back(value);
  for (const v1::TaskFile& file : opened->files()) task.secrets.push_back(file.content());
  for (const LoggedRecord& logged : row->log_records) task.records.push_back(logged.record);
  co_return task;
}

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
