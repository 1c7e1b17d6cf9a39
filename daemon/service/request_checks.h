// What is wrong with a request whatever the core's state: checked on a gRPC thread, before the loop
// hears of it.
#pragma once

#include "absl/status/status.h"
#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/executor.pb.h"

namespace boxkeeper::daemon {

// Limits of the API, told by GetCapacity and docs/errors.md.
constexpr int64_t kBatchBytesMax = 8 << 20;     // of a SubmitTasks request
constexpr int64_t kReceiveBytesMax = 16 << 20;  // of any message; larger ones gRPC refuses itself
constexpr int kPageSizeMax = 1000;

// OK, or kInvalidArgument with reason BATCH_TOO_LARGE. Items of SubmitTasks are not looked into:
// they are answered one by one.
absl::Status CheckBatchBytes(size_t bytes);

// OK, or kInvalidArgument with reason INVALID_REQUEST and every violation. How many items there are
// was checked before parsing: see request_bounds.h.
absl::Status CheckRequest(const v1::GetTaskRequest& request);
absl::Status CheckRequest(const v1::ListTasksRequest& request);
absl::Status CheckRequest(const v1::WaitTaskRequest& request);
absl::Status CheckRequest(const v1::CancelTasksRequest& request);
absl::Status CheckRequest(const v1::WatchEventsRequest& request);
absl::Status CheckRequest(const v1::AckEventsRequest& request);
absl::Status CheckRequest(const v1::AdoptTasksRequest& request);
absl::Status CheckRequest(const v1::ReadLogRequest& request);
absl::Status CheckRequest(const v1::ListArtifactsRequest& request);
absl::Status CheckRequest(const v1::ReadArtifactRequest& request);
// The first message; how large the blob may be is the blob store's to say.
absl::Status CheckRequest(const v1::PutBlobRequest& request);
absl::Status CheckRequest(const v1::GetCapacityRequest& request);
absl::Status CheckRequest(const v1::RenewLeaseRequest& request);
absl::Status CheckRequest(const v1::GetStatusRequest& request);
absl::Status CheckRequest(const v1::ListSandboxesRequest& request);
absl::Status CheckRequest(const v1::ListProvidersRequest& request);
absl::Status CheckRequest(const v1::DrainRequest& request);
absl::Status CheckRequest(const v1::ReloadRequest& request);
absl::Status CheckRequest(const v1::AbandonTaskRequest& request);
absl::Status CheckRequest(const v1::ListOrphansRequest& request);
absl::Status CheckRequest(const v1::ReapOrphansRequest& request);

}  // namespace boxkeeper::daemon
