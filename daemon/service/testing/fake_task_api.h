// A small working TaskApi without a core: tasks in a map, one event stream, logs as strings.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/wait_list.h"
#include "daemon/api/task_api.h"

namespace boxkeeper::daemon {

// Everything on the loop but the atomic counters. A submission's id is its first seen place
// ("task-1"); a submission whose key is "full" is refused as QUEUE_FULL.
class FakeTaskApi final : public TaskApi {
 public:
  explicit FakeTaskApi(base::Clock& clock);

  // Ends the task and tells the event stream.
  void End(const std::string& id);
  // Appends to the task's output; `end` completes it.
  void Write(const std::string& id, const std::string& data, bool end);
  // Adds an event whose task carries `message`.
  void AddEvent(const std::string& id, const std::string& message);
  // Ends every reader as a stopping core does.
  void EndReaders();

  // What the next call of each kind fails with, once.
  absl::Status fail_next;

  // For the test's thread.
  std::atomic<int> submitted{0};             // distinct submissions
  std::atomic<int> waiting{0};               // WaitTask calls that wait
  std::atomic<int> readers{0};               // open EventReaders and LogStreams
  std::atomic<int> events_read{0};           // Next calls of event readers that gave something
  std::atomic<int64_t> last_timeout_ms{-1};  // of the newest WaitTask

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

 private:
  friend class FakeEventReader;
  friend class FakeLogStream;
  struct Row {
    v1::Task task;
    std::string output;
    bool output_complete = false;
  };
  absl::Status TakeFailure() { return std::exchange(fail_next, absl::OkStatus()); }

  base::Clock& clock_;
  base::WaitList changed_;
  std::map<std::string, Row> rows_;                   // by id
  std::map<std::string, std::string> by_submission_;  // submission id -> id
  std::vector<v1::Event> events_;
  bool stopped_ = false;
};

}  // namespace boxkeeper::daemon
