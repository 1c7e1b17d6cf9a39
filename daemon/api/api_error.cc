#include "daemon/api/api_error.h"

#include "absl/strings/cord.h"

namespace boxkeeper::daemon {
namespace {

constexpr char kPayloadUrl[] = "type.googleapis.com/google.rpc.Status";
constexpr char kDomain[] = "boxkeeper";

}  // namespace

absl::Status ApiError(absl::StatusCode code, const std::string& reason, const std::string& message,
                      const ApiErrorDetails& details) {
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(code));
  rpc.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(kDomain);
  for (const auto& [key, value] : details.metadata) (*info.mutable_metadata())[key] = value;
  rpc.add_details()->PackFrom(info);
  if (!details.violations.empty()) {
    google::rpc::BadRequest bad;
    for (const providers::FieldViolation& violation : details.violations) {
      auto* field = bad.add_field_violations();
      field->set_field(violation.field);
      field->set_description(violation.description);
    }
    rpc.add_details()->PackFrom(bad);
  }
  if (details.retry_after.has_value()) {
    google::rpc::RetryInfo retry;
    const auto millis = details.retry_after->count();
    retry.mutable_retry_delay()->set_seconds(millis / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(millis % 1000) * 1'000'000);
    rpc.add_details()->PackFrom(retry);
  }
  absl::Status status(code, message);
  const std::string wire = rpc.SerializeAsString();
  // By string_view: the constructor from std::string&& is a template that clang mangles otherwise
  // than Debian's abseil, built by GCC.
  status.SetPayload(kPayloadUrl, absl::Cord(absl::string_view(wire)));
  return status;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rpc;
  if (status.ok()) return rpc;
  if (auto payload = status.GetPayload(kPayloadUrl);
      payload.has_value() && rpc.ParseFromString(std::string(*payload))) {
    return rpc;
  }
  const std::string reason = absl::StatusCodeToString(status.code());
  const absl::Status detailed = ApiError(status.code(), reason, std::string(status.message()));
  rpc.ParseFromString(std::string(*detailed.GetPayload(kPayloadUrl)));
  return rpc;
}

}  // namespace boxkeeper::daemon
