#include "daemon/service/grpc_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/api/api_error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace boxkeeper::daemon {
namespace {

// gRPC clients refuse trailers above 8 KiB by default, and then show neither code nor message.
// Base64 and percent encoding may add a third and more.
constexpr size_t kMessageBytesMax = 1024;
constexpr size_t kDetailsBytesMax = 4096;

// Drops violations from the end until the details fit, and says how many.
std::string FittingDetails(google::rpc::Status status) {
  std::string wire = status.SerializeAsString();
  if (wire.size() <= kDetailsBytesMax) return wire;
  for (google::protobuf::Any& detail : *status.mutable_details()) {
    google::rpc::BadRequest bad;
    if (!detail.UnpackTo(&bad)) continue;
    const int total = bad.field_violations_size();
    size_t size = wire.size() + 64;  // the line that says how many are left out
    while (bad.field_violations_size() > 0 && size > kDetailsBytesMax) {
      size -= bad.field_violations(bad.field_violations_size() - 1).ByteSizeLong();
      bad.mutable_field_violations()->RemoveLast();
    }
    auto* rest = bad.add_field_violations();
    rest->set_description(
        absl::StrCat("and ", total - bad.field_violations_size() + 1, " more violations"));
    detail.PackFrom(bad);
    wire = status.SerializeAsString();
  }
  if (wire.size() > kDetailsBytesMax) return {};
  return wire;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details = ToRpcStatus(status);
  std::string message(status.message());
  if (message.size() > kMessageBytesMax) message = message.substr(0, kMessageBytesMax) + "...";
  details.set_message(message);
  // absl's codes are gRPC's canonical numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      FittingDetails(std::move(details)));
}

}  // namespace boxkeeper::daemon
