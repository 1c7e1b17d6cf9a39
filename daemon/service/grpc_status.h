// absl::Status of the core -> grpc::Status with the details in `grpc-status-details-bin`.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace boxkeeper::daemon {

grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace boxkeeper::daemon
