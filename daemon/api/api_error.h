// Errors of the API: an absl::Status that carries google.rpc details (ErrorInfo, BadRequest,
// RetryInfo) to the client.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

struct ApiErrorDetails {
  std::vector<providers::FieldViolation> violations;
  std::optional<std::chrono::milliseconds> retry_after;
  std::vector<std::pair<std::string, std::string>> metadata;
};

// `reason` is an ErrorInfo reason of docs/errors.md, e.g. "TASK_NOT_FOUND".
absl::Status ApiError(absl::StatusCode code, const std::string& reason, const std::string& message,
                      const ApiErrorDetails& details = {});
// The wire form of `status`: one made elsewhere gets reason "INTERNAL" or its code's name.
google::rpc::Status ToRpcStatus(const absl::Status& status);

}  // namespace boxkeeper::daemon
