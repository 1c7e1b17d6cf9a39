#include "providers/provider.h"

#include <utility>

#include "absl/strings/cord.h"

namespace boxkeeper::providers {
namespace {

constexpr char kPayloadUrl[] = "type.boxkeeper/boxkeeper.provider.v1.ProviderError";

absl::StatusCode CodeOf(pb::ErrorClass error_class) {
  switch (error_class) {
    case pb::RATE:
    case pb::CAPACITY:
    case pb::QUOTA:
      return absl::StatusCode::kResourceExhausted;
    case pb::AUTH:
      return absl::StatusCode::kUnauthenticated;
    case pb::INVALID:
      return absl::StatusCode::kInvalidArgument;
    case pb::IMAGE_NOT_FOUND:
    case pb::NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case pb::PROTOCOL:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

pb::ErrorClass ClassOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return pb::AUTH;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return pb::INVALID;
    case absl::StatusCode::kNotFound:
      return pb::NOT_FOUND;
    case absl::StatusCode::kResourceExhausted:
      return pb::CAPACITY;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return pb::PROTOCOL;
    default:
      return pb::TRANSIENT;
  }
}

}  // namespace

boost::asio::awaitable<absl::StatusOr<pb::OutputChunk>> Provider::ReadOutput(
    std::string, std::string, std::string, int64_t, int64_t, base::BootTime) {
  co_return absl::UnimplementedError(type() + ": ReadOutput is not declared");
}

boost::asio::awaitable<absl::Status> Provider::Renew(std::string, std::chrono::seconds,
                                                     base::BootTime) {
  co_return absl::UnimplementedError(type() + ": Renew is not declared");
}

absl::Status MakeError(const pb::ProviderError& error) {
  absl::Status status(CodeOf(error.error_class()), error.message());
  status.SetPayload(kPayloadUrl, absl::Cord(absl::string_view(error.SerializeAsString())));
  return status;
}

pb::ProviderError MakeProviderError(pb::ErrorClass error_class, std::string message,
                                    bool proves_no_effect) {
  pb::ProviderError error;
  error.set_error_class(error_class);
  constexpr size_t kMessageBytesMax = 1024;  // provider.proto: ProviderError.message
  if (message.size() > kMessageBytesMax) message.resize(kMessageBytesMax);
  error.set_message(std::move(message));
  error.set_proves_no_effect(proves_no_effect);
  return error;
}

pb::ProviderError ErrorOf(const absl::Status& status) {
  pb::ProviderError error;
  if (auto payload = status.GetPayload(kPayloadUrl);
      payload.has_value() && error.ParseFromString(std::string(*payload))) {
    return error;
  }
  return MakeProviderError(ClassOf(status.code()), std::string(status.message()), false);
}

}  // namespace boxkeeper::providers
