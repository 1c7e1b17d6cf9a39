// A failed call as boxctl shows it: the code, the reason, every wrong field and when to try again.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace boxkeeper::cli {

// An error of the server with the details of its `grpc-status-details-bin` trailer (may be empty).
absl::Status WithDetails(absl::StatusCode code, const std::string& message,
                         const std::string& details);

// The ErrorInfo reason, "" without one.
std::string ErrorReason(const absl::Status& error);

// Lines for stderr, each with its newline: the violations ("  field: what"), what to do if there is
// something, and last "boxctl: CODE/REASON: message".
std::string ErrorText(const absl::Status& error);

// The lines before the last one, for violations that came in an answer and not as an error.
std::string ViolationLines(
    const google::protobuf::RepeatedPtrField<google::rpc::BadRequest::FieldViolation>& violations);

// An error of this program itself.
absl::Status OwnError(absl::StatusCode code, const std::string& reason, const std::string& message);

}  // namespace boxkeeper::cli
