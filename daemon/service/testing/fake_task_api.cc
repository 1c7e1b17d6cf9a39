#include "daemon/service/testing/fake_task_api.h"

#include <algorithm>
#include <utility>

#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

namespace {

constexpr size_t kPieceBytes = 64 << 10;

absl::Status NoSuchTask(const std::string& id) {
  return ApiError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND", "no task '" + id + "'");
}

}  // namespace

class FakeEventReader final : public EventReader {
 public:
  FakeEventReader(FakeTaskApi& api, size_t next) : api_(api), next_(next) { ++api_.readers; }
  ~FakeEventReader() override { --api_.readers; }

  awaitable<absl::StatusOr<v1::WatchEventsResponse>> Next(
      size_t max, std::chrono::milliseconds heartbeat) override {
    const base::BootTime silence = api_.clock_.Boot() + heartbeat;
    v1::WatchEventsResponse response;
    while (AtEnd()) {
      if (api_.stopped_) co_return absl::CancelledError("stopping");
      const absl::Status waited = co_await api_.changed_.Wait(silence);
      if (absl::IsDeadlineExceeded(waited)) co_return response;
      if (!waited.ok()) co_return waited;
    }
    for (size_t i = 0; i < max && !AtEnd(); ++i) *response.add_events() = api_.events_[next_++];
    ++api_.events_read;
    co_return response;
  }

  bool AtEnd() const override { return next_ >= api_.events_.size(); }

 private:
  FakeTaskApi& api_;
  size_t next_;
};

// A task's one artifact "out" is its output.
class FakeArtifactStream final : public ArtifactStream {
 public:
  FakeArtifactStream(std::string content, size_t offset)
      : content_(std::move(content)), offset_(offset) {}

  awaitable<absl::StatusOr<v1::ReadArtifactResponse>> Next() override {
    v1::ReadArtifactResponse piece;
    piece.set_offset(static_cast<int64_t>(offset_));
    piece.set_data(content_.substr(offset_, kPieceBytes));
    offset_ += piece.data().size();
    piece.set_end(offset_ >= content_.size());
    co_return piece;
  }

 private:
  const std::string content_;
  size_t offset_;
};

class FakeLogStream final : public LogStream {
 public:
  FakeLogStream(FakeTaskApi& api, v1::ReadLogRequest request)
      : api_(api), request_(std::move(request)), offset_(static_cast<size_t>(request_.offset())) {
    ++api_.readers;
  }
  ~FakeLogStream() override { --api_.readers; }

  awaitable<absl::StatusOr<v1::ReadLogResponse>> Next() override {
    const FakeTaskApi::Row& row = api_.rows_[request_.id()];
    while (request_.follow() && !row.output_complete && offset_ >= row.output.size()) {
      const absl::Status waited = co_await api_.changed_.Wait(base::BootTime::max());
      if (!waited.ok()) co_return waited;
    }
    v1::ReadLogResponse piece;
    piece.set_offset(static_cast<int64_t>(offset_));
    piece.set_data(row.output.substr(offset_, kPieceBytes));
    offset_ += piece.data().size();
    piece.set_end(offset_ >= row.output.size() && (row.output_complete || !request_.follow()));
    co_return piece;
  }

 private:
  FakeTaskApi& api_;
  const v1::ReadLogRequest request_;
  size_t offset_;
};

FakeTaskApi::FakeTaskApi(base::Clock& clock) : clock_(clock), changed_(clock) {}

void FakeTaskApi::End(const std::string& id) {
  rows_[id].task.set_state(v1::TASK_STATE_SUCCEEDED);
  AddEvent(id, "ended");
}

void FakeTaskApi::Write(const std::string& id, const std::string& data, bool end) {
  rows_[id].output += data;
  rows_[id].output_complete = end;
  changed_.NotifyAll();
}

void FakeTaskApi::AddEvent(const std::string& id, const std::string& message) {
  v1::Event event;
  event.set_cursor("c" + std::to_string(events_.size() + 1));
  event.set_type(v1::EVENT_TYPE_STATE);
  *event.mutable_task() = rows_[id].task;
  event.mutable_task()->set_message(message);
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

void FakeTaskApi::EndReaders() {
  stopped_ = true;
  changed_.NotifyAll();
}

void FakeTaskApi::Submit(std::vector<PackedTask> items,
                         std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done) {
  if (absl::Status failure = TakeFailure(); !failure.ok()) return done(failure);
  v1::SubmitTasksResponse response;
  for (const PackedTask& item : items) {
    v1::SubmitResult* result = response.add_results();
    if (!item.violations.empty()) {
      result->set_outcome(v1::SubmitResult::REJECTED);
      for (const auto& violation : item.violations) {
        result->add_violations()->set_field(violation.field);
      }
      continue;
    }
    if (item.facts.key == "full") {
      result->set_outcome(v1::SubmitResult::QUEUE_FULL);
      continue;
    }
    const std::string submission = item.submission_id.ToString();
    const auto [found, fresh] = by_submission_.try_emplace(submission);
    if (fresh) {
      found->second = "task-" + std::to_string(++submitted);
      rows_[found->second].task.set_id(found->second);
      rows_[found->second].task.set_state(v1::TASK_STATE_QUEUED);
    }
    result->set_outcome(fresh ? v1::SubmitResult::ACCEPTED : v1::SubmitResult::DUPLICATE);
    result->set_id(found->second);
  }
  done(std::move(response));
}

awaitable<absl::StatusOr<v1::Task>> FakeTaskApi::GetTask(v1::GetTaskRequest request) {
  const auto found = rows_.find(request.task().id());
  if (found == rows_.end()) co_return NoSuchTask(request.task().id());
  co_return found->second.task;
}

awaitable<absl::StatusOr<v1::ListTasksResponse>> FakeTaskApi::ListTasks(v1::ListTasksRequest) {
  if (absl::Status failure = TakeFailure(); !failure.ok()) co_return failure;
  v1::ListTasksResponse response;
  for (const auto& [id, row] : rows_) *response.add_tasks() = row.task;
  response.set_snapshot_cursor("c" + std::to_string(events_.size()));
  co_return response;
}

awaitable<absl::StatusOr<v1::WaitTaskResponse>> FakeTaskApi::WaitTask(v1::WaitTaskRequest request) {
  const auto timeout = std::chrono::seconds(request.timeout().seconds()) +
                       std::chrono::nanoseconds(request.timeout().nanos());
  last_timeout_ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  const base::BootTime deadline =
      timeout.count() == 0 ? base::BootTime::max() : clock_.Boot() + timeout;
  const auto ended = [&](const std::string& id) {
    return rows_[id].task.state() == v1::TASK_STATE_SUCCEEDED;
  };
  v1::WaitTaskResponse response;
  ++waiting;
  while (!std::all_of(request.ids().begin(), request.ids().end(), ended)) {
    const absl::Status waited = co_await changed_.Wait(deadline);
    if (waited.ok()) continue;
    if (!absl::IsDeadlineExceeded(waited)) {
      --waiting;
      co_return waited;
    }
    response.set_timed_out(true);
    break;
  }
  --waiting;
  for (const std::string& id : request.ids()) *response.add_tasks() = rows_[id].task;
  co_return response;
}

awaitable<absl::StatusOr<v1::CancelTasksResponse>> FakeTaskApi::CancelTasks(
    v1::CancelTasksRequest request) {
  v1::CancelTasksResponse response;
  for (const v1::TaskRef& ref : request.tasks()) {
    v1::CancelResult* result = response.add_results();
    *result->mutable_ref() = ref;
    result->set_outcome(rows_.count(ref.id()) > 0 ? v1::CancelResult::CANCELLED
                                                  : v1::CancelResult::NOT_FOUND);
  }
  co_return response;
}

absl::StatusOr<std::unique_ptr<EventReader>> FakeTaskApi::WatchEvents(
    v1::WatchEventsRequest request) {
  if (absl::Status failure = TakeFailure(); !failure.ok()) return failure;
  const size_t next =
      request.cursor().empty() ? 0 : static_cast<size_t>(std::stoul(request.cursor().substr(1)));
  return std::make_unique<FakeEventReader>(*this, next);
}

awaitable<absl::StatusOr<v1::AckEventsResponse>> FakeTaskApi::AckEvents(v1::AckEventsRequest) {
  co_return v1::AckEventsResponse();
}

awaitable<absl::StatusOr<v1::AdoptTasksResponse>> FakeTaskApi::AdoptTasks(
    v1::AdoptTasksRequest request) {
  v1::AdoptTasksResponse response;
  for (const v1::TaskRef& ref : request.tasks()) {
    const bool known = rows_.count(ref.id()) > 0;
    response.add_results()->set_outcome(known ? v1::AdoptResult::LIVE : v1::AdoptResult::UNKNOWN);
  }
  co_return response;
}

absl::StatusOr<std::unique_ptr<LogStream>> FakeTaskApi::ReadLog(v1::ReadLogRequest request) {
  if (request.has_task()) request.set_id(request.task().id());
  if (rows_.count(request.id()) == 0) return NoSuchTask(request.id());
  return std::make_unique<FakeLogStream>(*this, std::move(request));
}

awaitable<absl::StatusOr<v1::ListArtifactsResponse>> FakeTaskApi::ListArtifacts(
    v1::ListArtifactsRequest request) {
  const auto found = rows_.find(request.task().id());
  if (found == rows_.end()) co_return NoSuchTask(request.task().id());
  v1::ListArtifactsResponse response;
  response.set_id(found->first);
  response.mutable_outputs()->set_collected(true);
  v1::Artifact& artifact = *response.mutable_outputs()->add_artifacts();
  artifact.set_path("out");
  artifact.set_size(static_cast<int64_t>(found->second.output.size()));
  co_return response;
}

absl::StatusOr<std::unique_ptr<ArtifactStream>> FakeTaskApi::ReadArtifact(
    v1::ReadArtifactRequest request) {
  const auto found = rows_.find(request.task().id());
  if (found == rows_.end()) return NoSuchTask(request.task().id());
  return std::make_unique<FakeArtifactStream>(found->second.output,
                                              static_cast<size_t>(request.offset()));
}

v1::GetCapacityResponse FakeTaskApi::GetCapacity() {
  v1::GetCapacityResponse response;
  response.set_max_running(7);
  response.set_accepting(true);
  return response;
}

absl::StatusOr<v1::RenewLeaseResponse> FakeTaskApi::RenewLease(v1::RenewLeaseRequest request) {
  v1::RenewLeaseResponse response;
  for (const std::string& id : request.ids()) {
    if (rows_.count(id) == 0) response.add_not_found(id);
  }
  return response;
}

v1::GetStatusResponse FakeTaskApi::GetStatus() {
  v1::GetStatusResponse response;
  response.set_deployment_id("fake");
  response.set_ready(true);
  return response;
}

awaitable<absl::StatusOr<v1::ListSandboxesResponse>> FakeTaskApi::ListSandboxes(
    v1::ListSandboxesRequest) {
  v1::ListSandboxesResponse response;
  response.add_sandboxes()->set_name("bkfake");
  co_return response;
}

v1::ListProvidersResponse FakeTaskApi::ListProviders() {
  v1::ListProvidersResponse response;
  response.add_providers()->set_name("local");
  return response;
}

awaitable<absl::StatusOr<v1::DrainResponse>> FakeTaskApi::Drain(v1::DrainRequest) {
  v1::DrainResponse response;
  response.set_still_running(static_cast<int64_t>(rows_.size()));
  co_return response;
}

awaitable<absl::StatusOr<v1::ListOrphansResponse>> FakeTaskApi::ListOrphans(
    v1::ListOrphansRequest) {
  v1::ListOrphansResponse response;
  response.add_orphans()->set_name("bkorphan");
  co_return response;
}

awaitable<absl::StatusOr<v1::ReapOrphansResponse>> FakeTaskApi::ReapOrphans(
    v1::ReapOrphansRequest request) {
  v1::ReapOrphansResponse response;
  response.set_epoch(request.accept_epoch() + 1);
  co_return response;
}

awaitable<absl::StatusOr<v1::AbandonTaskResponse>> FakeTaskApi::AbandonTask(
    v1::AbandonTaskRequest request) {
  const auto found = rows_.find(request.id());
  if (found == rows_.end()) co_return NoSuchTask(request.id());
  v1::AbandonTaskResponse response;
  *response.mutable_task() = found->second.task;
  co_return response;
}

}  // namespace boxkeeper::daemon
