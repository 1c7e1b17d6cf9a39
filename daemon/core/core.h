// The core: every task's state, every decision about it. Serves the API, drives the providers,
// survives any crash.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/rng.h"
#include "blobs/blob_pins.h"
#include "daemon/api/task_api.h"
#include "daemon/core/log_port.h"
#include "daemon/core/naming.h"
#include "daemon/core/options.h"
#include "daemon/metrics/metrics.h"
#include "providers/provider.h"
#include "store/task_store.h"

namespace boxkeeper::daemon {

class Engine;

// What the core works with. All outlive it, but see Core's comment on destruction.
struct CoreDeps {
  boost::asio::any_io_executor executor;  // the loop
  base::Clock& clock;
  base::Rng& rng;
  store::TaskStore& store;
  const providers::ProviderRegistry& providers;
  const Naming& naming;
  Metrics& metrics;
  // Opens a box that Prepare sealed for this submission; the result is a SecretBundle. On the loop.
  std::function<absl::StatusOr<std::string>(const std::string& box, const base::SubmissionId&)>
      unseal;
  // The store failed for good: leave with exit code 74, without another write.
  std::function<void(absl::Status)> fatal;
  // Adds to GetStatus what the core cannot know; may be null.
  std::function<void(v1::GetStatusResponse&)> decorate_status;
  // Likewise for GetCapacity.
  std::function<void(v1::GetCapacityResponse&)> decorate_capacity = {};
};

// Owned by main, lives on the loop, called only there. Start: Create, (SetBlobPins), Recover,
// (SetLogPort), Start. Stop: HandOver, then destroy it; it may also be destroyed at any time before
// its io_context is (the simulator's crash): coroutines that are left over touch it no more,
// because they are never resumed.
class Core : public TaskApi, public LogEvents {
 public:
  static absl::StatusOr<std::unique_ptr<Core>> Create(CoreDeps deps, CoreOptions options);
  ~Core() override;

  // Replays the store and makes the new epoch durable. Blocking reads: call it before the listeners
  // open. kDataLoss: the store contradicts itself.
  boost::asio::awaitable<absl::Status> Recover();
  // Before Recover; null (the default): tasks that name blobs are rejected.
  void SetBlobPins(blobs::BlobPins* pins);
  // Before Start; null (the default): nothing is shipped and ReadLog answers UNIMPLEMENTED (the
  // simulator).
  void SetLogPort(LogPort* port);
  // Opens the providers, takes up every task where the store left it, and begins to dispatch.
  boost::asio::awaitable<absl::Status> Start();
  // Takes effect at once, but for tasks whose decision was already made.
  void SetOptions(CoreOptions options);

  // Refuses submits, starts nothing, waits for the calls in flight until `deadline`, syncs. Running
  // tasks live on.
  boost::asio::awaitable<void> HandOver(base::BootTime deadline);
  bool ready() const;
  int64_t epoch() const;
  // What /readyz says when it is not ready.
  std::vector<std::string> NotReadyBecause() const;
  // Brings the gauges of Metrics up to date, before a scrape.
  void RefreshMetrics();
  // Everything a client or a decision can see, as text: for the tests of I9.
  std::string Fingerprint() const;
  // True if all of that is in the store.
  bool AllDurable() const;

  void Submit(std::vector<PackedTask> items,
              std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done) override;
  boost::asio::awaitable<absl::StatusOr<v1::Task>> GetTask(v1::GetTaskRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::ListTasksResponse>> ListTasks(
      v1::ListTasksRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::WaitTaskResponse>> WaitTask(
      v1::WaitTaskRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::CancelTasksResponse>> CancelTasks(
      v1::CancelTasksRequest request) override;
  absl::StatusOr<std::unique_ptr<EventReader>> WatchEvents(v1::WatchEventsRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::AckEventsResponse>> AckEvents(
      v1::AckEventsRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::AdoptTasksResponse>> AdoptTasks(
      v1::AdoptTasksRequest request) override;
  absl::StatusOr<std::unique_ptr<LogStream>> ReadLog(v1::ReadLogRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> ListArtifacts(
      v1::ListArtifactsRequest request) override;
  absl::StatusOr<std::unique_ptr<ArtifactStream>> ReadArtifact(
      v1::ReadArtifactRequest request) override;
  v1::GetCapacityResponse GetCapacity() override;
  absl::StatusOr<v1::RenewLeaseResponse> RenewLease(v1::RenewLeaseRequest request) override;
  v1::GetStatusResponse GetStatus() override;
  boost::asio::awaitable<absl::StatusOr<v1::ListSandboxesResponse>> ListSandboxes(
      v1::ListSandboxesRequest request) override;
  v1::ListProvidersResponse ListProviders() override;
  boost::asio::awaitable<absl::StatusOr<v1::DrainResponse>> Drain(
      v1::DrainRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::AbandonTaskResponse>> AbandonTask(
      v1::AbandonTaskRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::ListOrphansResponse>> ListOrphans(
      v1::ListOrphansRequest request) override;
  boost::asio::awaitable<absl::StatusOr<v1::ReapOrphansResponse>> ReapOrphans(
      v1::ReapOrphansRequest request) override;

  boost::asio::awaitable<absl::Status> RecordLog(store::v1::LogRecord record) override;
  void LogComplete(int64_t generation) override;

 private:
  explicit Core(std::unique_ptr<Engine> engine);

  std::unique_ptr<Engine> engine_;
};

}  // namespace boxkeeper::daemon
