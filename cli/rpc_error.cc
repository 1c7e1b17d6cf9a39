#include "cli/rpc_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "cli/escape.h"
#include "cli/human.h"

namespace boxkeeper::cli {
namespace {

constexpr char kPayloadUrl[] = "type.googleapis.com/google.rpc.Status";

google::rpc::Status Details(const absl::Status& error) {
  google::rpc::Status details;
  if (auto payload = error.GetPayload(kPayloadUrl)) {
    if (!details.ParseFromString(std::string(*payload))) details.Clear();
  }
  return details;
}

// The first detail of type T; false if there is none.
template <typename T>
bool FindDetail(const google::rpc::Status& status, T* out) {
  for (const auto& detail : status.details()) {
    if (detail.Is<T>() && detail.UnpackTo(out)) return true;
  }
  return false;
}

}  // namespace

absl::Status WithDetails(absl::StatusCode code, const std::string& message,
                         const std::string& details) {
  absl::Status status(code, message);
  if (!details.empty()) status.SetPayload(kPayloadUrl, absl::Cord(details));
  return status;
}

absl::Status OwnError(absl::StatusCode code, const std::string& reason,
                      const std::string& message) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("boxctl");
  details.add_details()->PackFrom(info);
  return WithDetails(code, message, details.SerializeAsString());
}

std::string ErrorReason(const absl::Status& error) {
  google::rpc::ErrorInfo info;
  return FindDetail(Details(error), &info) ? info.reason() : "";
}

std::string ViolationLines(
    const google::protobuf::RepeatedPtrField<google::rpc::BadRequest::FieldViolation>& violations) {
  std::string out;
  for (const auto& violation : violations) {
    const std::string field = violation.field().empty() ? "request" : violation.field();
    absl::StrAppend(&out, "  ", EscapeLine(field), ": ", EscapeLine(violation.description()), "\n");
  }
  return out;
}

std::string ErrorText(const absl::Status& error) {
  const google::rpc::Status details = Details(error);
  std::string out;
  google::rpc::BadRequest bad;
  if (FindDetail(details, &bad)) out += ViolationLines(bad.field_violations());
  google::rpc::RetryInfo retry;
  if (FindDetail(details, &retry)) {
    absl::StrAppend(&out, "  try again in ", HumanDuration(FromProto(retry.retry_delay())), "\n");
  }
  absl::StrAppend(&out, "boxctl: ", absl::StatusCodeToString(error.code()));
  const std::string reason = ErrorReason(error);
  if (!reason.empty()) absl::StrAppend(&out, "/", EscapeLine(reason));
  absl::StrAppend(&out, ": ", EscapeLine(std::string(error.message())), "\n");
  return out;
}

}  // namespace boxkeeper::cli
