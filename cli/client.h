// The daemon's API as plain blocking calls. gRPC itself is seen only by client.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/connection.h"

namespace boxkeeper::cli {

// One channel to one daemon; connects at the first call and again by itself after the daemon was
// away. Thread-safe. Every error carries the server's details (cli/rpc_error.h); an unreachable
// server is kUnavailable with the reason UNREACHABLE and says which address and what to do.
class Client {
 public:
  // Longest time for a call that answers at once. A daemon that says nothing for so long is as good
  // as gone.
  static constexpr absl::Duration kCallTimeout = absl::Seconds(30);

  explicit Client(Connection connection);
  ~Client();

  // OK as soon as the daemon is connected; kUnavailable as soon as it is known that it cannot be.
  absl::Status Connect();

  absl::StatusOr<v1::SubmitTasksResponse> Submit(const v1::SubmitTasksRequest& request);
  absl::StatusOr<v1::Task> GetTask(const v1::GetTaskRequest& request);
  absl::StatusOr<v1::ListTasksResponse> ListTasks(const v1::ListTasksRequest& request);
  // Waits for the request's own timeout at most (some seconds longer for the answer).
  absl::StatusOr<v1::WaitTaskResponse> WaitTask(const v1::WaitTaskRequest& request);
  absl::StatusOr<v1::CancelTasksResponse> CancelTasks(const v1::CancelTasksRequest& request);
  absl::StatusOr<v1::RenewLeaseResponse> RenewLease(const v1::RenewLeaseRequest& request);
  absl::StatusOr<v1::GetStatusResponse> GetStatus();
  absl::StatusOr<v1::ListSandboxesResponse> ListSandboxes(const v1::ListSandboxesRequest& request);
  absl::StatusOr<v1::ListOrphansResponse> ListOrphans(const v1::ListOrphansRequest& request);
  absl::StatusOr<v1::ReapOrphansResponse> ReapOrphans(const v1::ReapOrphansRequest& request);
  absl::StatusOr<v1::ListProvidersResponse> ListProviders();
  absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request);
  absl::StatusOr<v1::ReloadResponse> Reload();
  absl::StatusOr<v1::AbandonTaskResponse> AbandonTask(const v1::AbandonTaskRequest& request);

  // Sends `first`, then what `next` gives until it gives an empty piece, or the daemon has
  // answered.
  absl::StatusOr<v1::PutBlobResponse> PutBlob(
      const v1::PutBlobRequest& first, const std::function<absl::StatusOr<std::string>()>& next);

  absl::StatusOr<v1::ListArtifactsResponse> ListArtifacts(const v1::ListArtifactsRequest& request);

  // Streams: call back for each message on the calling thread until the stream ends (its status is
  // the result) or the callback answers false (OK).
  absl::Status ReadLog(const v1::ReadLogRequest& request,
                       const std::function<bool(const v1::ReadLogResponse&)>& on_message);
  absl::Status ReadArtifact(const v1::ReadArtifactRequest& request,
                            const std::function<bool(const v1::ReadArtifactResponse&)>& on_message);
  absl::Status WatchEvents(const v1::WatchEventsRequest& request,
                           const std::function<bool(const v1::WatchEventsResponse&)>& on_message);

  // Ends all calls and pauses, running and later ones, with kCancelled. For leaving.
  void Stop();
  bool stopped() const;
  // False at once if stopped.
  bool Pause(absl::Duration duration);

  const Connection& connection() const { return connection_; }

 private:
  struct Impl;
  const Connection connection_;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace boxkeeper::cli
