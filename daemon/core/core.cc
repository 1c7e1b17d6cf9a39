#include "daemon/core/core.h"

#include <utility>

#include "daemon/core/engine.h"

namespace boxkeeper::daemon {

absl::StatusOr<std::unique_ptr<Core>> Core::Create(CoreDeps deps, CoreOptions options) {
  if (deps.providers.empty()) return absl::InvalidArgumentError("no provider is configured");
  for (const auto& [name, provider] : deps.providers) {
    if (!provider->capabilities().list_shows_end()) {
      return absl::UnimplementedError(
          name + ": only providers whose list shows ends are supported by this version");
    }
  }
  auto engine = std::make_unique<Engine>(std::move(deps), std::move(options));
  return std::unique_ptr<Core>(new Core(std::move(engine)));
}

Core::Core(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
Core::~Core() = default;

boost::asio::awaitable<absl::Status> Core::Recover() { return engine_->Recover(); }
void Core::SetBlobPins(blobs::BlobPins* pins) { engine_->blob_pins_ = pins; }

void Core::SetLogPort(LogPort* port) { engine_->log_port_ = port; }
boost::asio::awaitable<absl::Status> Core::Start() { return engine_->Start(); }
void Core::SetOptions(CoreOptions options) { engine_->SetOptions(std::move(options)); }
boost::asio::awaitable<void> Core::HandOver(base::BootTime deadline) {
  return engine_->HandOver(deadline);
}
bool Core::ready() const { return NotReadyBecause().empty(); }
int64_t Core::epoch() const { return engine_->epoch_; }
std::vector<std::string> Core::NotReadyBecause() const { return engine_->NotReadyBecause(); }
std::string Core::Fingerprint() const { return engine_->table_.Fingerprint(); }

bool Core::AllDurable() const { return engine_->journal_.idle(); }

void Core::RefreshMetrics() {
  Metrics& metrics = engine_->deps_.metrics;
  for (size_t state = 0; state < metrics.tasks.size(); ++state) {
    metrics.tasks[state] = engine_->table_.count(static_cast<v1::TaskState>(state));
  }
  metrics.live_sandboxes = static_cast<int64_t>(engine_->table_.sandboxes().size());
  metrics.unacknowledged_events = engine_->table_.unacknowledged_events();
  metrics.event_subscribers = 0;
  for (const auto& [owner, count] : engine_->readers_) metrics.event_subscribers += count;
  metrics.ready = ready();
}

void Core::Submit(std::vector<PackedTask> items,
                  std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done) {
  engine_->Submit(std::move(items), std::move(done));
}
boost::asio::awaitable<absl::StatusOr<v1::Task>> Core::GetTask(v1::GetTaskRequest request) {
  return engine_->GetTask(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::ListTasksResponse>> Core::ListTasks(
    v1::ListTasksRequest request) {
  return engine_->ListTasks(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::WaitTaskResponse>> Core::WaitTask(
    v1::WaitTaskRequest request) {
  return engine_->WaitTask(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::CancelTasksResponse>> Core::CancelTasks(
    v1::CancelTasksRequest request) {
  return engine_->CancelTasks(std::move(request));
}
absl::StatusOr<std::unique_ptr<EventReader>> Core::WatchEvents(v1::WatchEventsRequest request) {
  return engine_->WatchEvents(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::AckEventsResponse>> Core::AckEvents(
    v1::AckEventsRequest request) {
  return engine_->AckEvents(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::AdoptTasksResponse>> Core::AdoptTasks(
    v1::AdoptTasksRequest request) {
  return engine_->AdoptTasks(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> Core::ListArtifacts(
    v1::ListArtifactsRequest request) {
  return engine_->ListArtifacts(std::move(request));
}
absl::StatusOr<std::unique_ptr<ArtifactStream>> Core::ReadArtifact(
    v1::ReadArtifactRequest request) {
  return engine_->ReadArtifact(std::move(request));
}
absl::StatusOr<std::unique_ptr<LogStream>> Core::ReadLog(v1::ReadLogRequest request) {
  return engine_->ReadLog(std::move(request));
}
v1::GetCapacityResponse Core::GetCapacity() { return engine_->GetCapacity(); }
absl::StatusOr<v1::RenewLeaseResponse> Core::RenewLease(v1::RenewLeaseRequest request) {
  return engine_->RenewLease(std::move(request));
}
v1::GetStatusResponse Core::GetStatus() { return engine_->GetStatus(); }
boost::asio::awaitable<absl::StatusOr<v1::ListSandboxesResponse>> Core::ListSandboxes(
    v1::ListSandboxesRequest request) {
  return engine_->ListSandboxes(std::move(request));
}
v1::ListProvidersResponse Core::ListProviders() { return engine_->ListProviders(); }
boost::asio::awaitable<absl::StatusOr<v1::DrainResponse>> Core::Drain(v1::DrainRequest request) {
  return engine_->Drain(std::move(request));
}
boost::asio::awaitable<absl::StatusOr<v1::AbandonTaskResponse>> Core::AbandonTask(
    v1::AbandonTaskRequest request) {
  return engine_->AbandonTask(std::move(request));
}
boost::asio::awaitable<absl::Status> Core::RecordLog(store::v1::LogRecord record) {
  return engine_->RecordLog(std::move(record));
}
void Core::LogComplete(int64_t generation) { engine_->LogComplete(generation); }

boost::asio::awaitable<absl::StatusOr<v1::ListOrphansResponse>> Core::ListOrphans(
    v1::ListOrphansRequest request) {
  return engine_->ListOrphans(std::move(request));
}

boost::asio::awaitable<absl::StatusOr<v1::ReapOrphansResponse>> Core::ReapOrphans(
    v1::ReapOrphansRequest request) {
  return engine_->ReapOrphans(std::move(request));
}

}  // namespace boxkeeper::daemon
