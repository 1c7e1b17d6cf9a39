#include "daemon/service/blob_upload.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/api_error.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/upload_call.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using Call = UploadCall<v1::PutBlobRequest, v1::PutBlobResponse>;

// A client that is alive sends its next megabytes sooner.
constexpr std::chrono::seconds kStallLimit{60};
constexpr std::chrono::seconds kBusyRetry{1};
constexpr std::chrono::seconds kFullRetry{60};

// The store's words with the API's reason.
absl::Status Explained(const absl::Status& status) {
  const std::string message(status.message());
  ApiErrorDetails details;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return ApiError(status.code(), "BLOB_MISMATCH", message);
    case absl::StatusCode::kFailedPrecondition:
      return ApiError(status.code(), "BLOBS_OFF", message);
    case absl::StatusCode::kResourceExhausted:
      details.retry_after = kFullRetry;
      return ApiError(status.code(), "BLOBS_FULL", message, details);
    case absl::StatusCode::kUnavailable:
      details.retry_after = kBusyRetry;
      return ApiError(status.code(), "SERVER_BUSY", message, details);
    default:
      return status;
  }
}

absl::Status CheckPiece(const v1::PutBlobRequest& piece) {
  if (piece.data().size() <= kBlobPieceBytesMax) return absl::OkStatus();
  return ApiError(absl::StatusCode::kInvalidArgument, "INVALID_REQUEST",
                  absl::StrCat("data: a message has ", piece.data().size(), " bytes; at most ",
                               kBlobPieceBytesMax, " are allowed"));
}

awaitable<absl::StatusOr<v1::PutBlobResponse>> TakeBlob(CallHost& host, blobs::BlobStore& blobs,
                                                        Call& call) {
  auto first = co_await call.Read();
  if (!first.ok()) co_return first.status();
  v1::PutBlobRequest request;
  if (first->has_value()) request = **std::move(first);
  absl::Status wrong = CheckRequest(request);
  if (wrong.ok()) wrong = CheckPiece(request);
  if (!wrong.ok()) co_return wrong;

  std::optional<std::string> pending;
  if (!request.data().empty()) pending = std::move(*request.mutable_data());
  absl::Status failed;  // of the client's stream: not the store's to explain
  auto next = [&]() -> awaitable<absl::StatusOr<std::optional<std::string>>> {
    if (pending.has_value()) co_return std::exchange(pending, std::nullopt);
    auto message = co_await call.Read();
    failed = message.status();
    if (failed.ok() && message->has_value()) failed = CheckPiece(**message);
    if (!failed.ok()) co_return failed;
    if (!message->has_value()) co_return std::optional<std::string>();
    co_return std::optional<std::string>(std::move(*(*message)->mutable_data()));
  };
  const auto stored = co_await blobs.Put(request.sha256(), request.size(), next);
  if (!failed.ok()) co_return failed;
  if (!stored.ok()) co_return Explained(stored.status());
  v1::PutBlobResponse response;
  response.set_existed(stored->existed);
  const auto left = stored->expires_at - host.clock.Boot();
  response.mutable_expires_at()->set_seconds(
      absl::ToUnixSeconds(host.clock.Now()) +
      std::chrono::floor<std::chrono::seconds>(left).count());
  co_return response;
}

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* ServePutBlob(CallHost& host, blobs::BlobStore* blobs,
                                                        grpc::CallbackServerContext* context,
                                                        grpc::ByteBuffer* response) {
  absl::Status refused = host.Admit(*context);
  if (refused.ok() && host.state.load(std::memory_order_acquire) == ServingState::kStopping) {
    refused = ShuttingDown();
  }
  if (refused.ok() && blobs == nullptr) {
    refused =
        ApiError(absl::StatusCode::kFailedPrecondition, "BLOBS_OFF", "this daemon takes no blobs");
  }
  if (!refused.ok()) return Call::Refuse(refused);
  return Call::Serve(host, context, response, kStallLimit,
                     [&host, blobs](Call& call) { return TakeBlob(host, *blobs, call); });
}

}  // namespace boxkeeper::daemon
