// What clients may know of tasks: views, lists, waiting.
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

absl::Status TaskNotFound(const std::string& what) {
  return ApiError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                  absl::StrCat("no task ", what, " (results are kept for `retention`)"));
}

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
  if (log.complete() && !status.log_lost().empty()) {
    const std::string before = log.incomplete().empty() ? "" : log.incomplete() + "; ";
    log.set_incomplete(before + status.log_lost());
  }
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

}  // namespace boxkeeper::daemon
