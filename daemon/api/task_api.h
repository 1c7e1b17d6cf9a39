// What the gRPC services call: the core's API on the loop. An interface, so that the services are
// tested without a core.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/executor.pb.h"
#include "daemon/submit/packed_task.h"

namespace boxkeeper::daemon {

// One subscriber's place in an event stream. Pull only: nothing is buffered for it, so a slow
// subscriber costs nothing. Used on the loop, one Next at a time; destroying it ends the
// subscription (the owner's leases are then no longer renewed).
class EventReader {
 public:
  virtual ~EventReader() = default;
  // The next events in order, at most `max`; waits for one if there is none. Empty: `heartbeat` has
  // passed in silence. kOutOfRange/CURSOR_GONE: some were compacted. nullopt-like end: kCancelled
  // when the daemon stops.
  virtual boost::asio::awaitable<absl::StatusOr<v1::WatchEventsResponse>> Next(
      size_t max, std::chrono::milliseconds heartbeat) = 0;
  // True if Next would wait now: for WatchEvents without `follow`.
  virtual bool AtEnd() const = 0;
};

// One reader's place in a task's output.
class LogStream {
 public:
  virtual ~LogStream() = default;
  // The next piece; `end` is set on the last one. With `follow` waits for more while the task
  // lives; without, the last piece known now is the end.
  virtual boost::asio::awaitable<absl::StatusOr<v1::ReadLogResponse>> Next() = 0;
};

// One reader's place in one of a task's outputs.
class ArtifactStream {
 public:
  virtual ~ArtifactStream() = default;
  // The next piece; `end` is set on the last one.
  virtual boost::asio::awaitable<absl::StatusOr<v1::ReadArtifactResponse>> Next() = 0;
};

// All methods are called on the loop. Answers are given only when what they depend on is durable.
// Errors are made by daemon/api/api_error.h. Cancelling an awaitable abandons the wait, never the
// effect.
class TaskApi {
 public:
  virtual ~TaskApi() = default;

  // One result per item, same order. Calls `done` once, on the loop. The hot path: no coroutine of
  // its own.
  virtual void Submit(std::vector<PackedTask> items,
                      std::function<void(absl::StatusOr<v1::SubmitTasksResponse>)> done) = 0;

  virtual boost::asio::awaitable<absl::StatusOr<v1::Task>> GetTask(v1::GetTaskRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::ListTasksResponse>> ListTasks(
      v1::ListTasksRequest request) = 0;
  // `timeout` of the request is honoured here; the call's deadline by the caller (cancellation).
  virtual boost::asio::awaitable<absl::StatusOr<v1::WaitTaskResponse>> WaitTask(
      v1::WaitTaskRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::CancelTasksResponse>> CancelTasks(
      v1::CancelTasksRequest request) = 0;
  virtual absl::StatusOr<std::unique_ptr<EventReader>> WatchEvents(
      v1::WatchEventsRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::AckEventsResponse>> AckEvents(
      v1::AckEventsRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::AdoptTasksResponse>> AdoptTasks(
      v1::AdoptTasksRequest request) = 0;
  virtual absl::StatusOr<std::unique_ptr<LogStream>> ReadLog(v1::ReadLogRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::ListArtifactsResponse>> ListArtifacts(
      v1::ListArtifactsRequest request) = 0;
  virtual absl::StatusOr<std::unique_ptr<ArtifactStream>> ReadArtifact(
      v1::ReadArtifactRequest request) = 0;
  virtual v1::GetCapacityResponse GetCapacity() = 0;
  virtual absl::StatusOr<v1::RenewLeaseResponse> RenewLease(v1::RenewLeaseRequest request) = 0;

  virtual v1::GetStatusResponse GetStatus() = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::ListSandboxesResponse>> ListSandboxes(
      v1::ListSandboxesRequest request) = 0;
  virtual v1::ListProvidersResponse ListProviders() = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::DrainResponse>> Drain(
      v1::DrainRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::AbandonTaskResponse>> AbandonTask(
      v1::AbandonTaskRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::ListOrphansResponse>> ListOrphans(
      v1::ListOrphansRequest request) = 0;
  virtual boost::asio::awaitable<absl::StatusOr<v1::ReapOrphansResponse>> ReapOrphans(
      v1::ReapOrphansRequest request) = 0;
};

}  // namespace boxkeeper::daemon
