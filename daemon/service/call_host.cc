#include "daemon/service/call_host.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {

void OpenCall::Cancel(const absl::Status& why) {
  if (cancelled()) return;
  why_ = why;
  signal_.emit(boost::asio::cancellation_type::terminal);
}

absl::StatusOr<std::string> CallHost::Authenticate(
    const grpc::CallbackServerContext& context) const {
  std::optional<std::string_view> authorization;
  const auto found = context.client_metadata().find("authorization");
  if (found != context.client_metadata().end()) {
    authorization.emplace(found->second.data(), found->second.size());
  }
  auto caller = authenticator.Check(context.peer(), authorization);
  if (!caller.ok()) metrics.unauthenticated.fetch_add(1, std::memory_order_relaxed);
  return caller;
}

absl::Status CallHost::Admit(const grpc::CallbackServerContext& context) const {
  if (auto caller = Authenticate(context); !caller.ok()) return caller.status();
  if (state.load(std::memory_order_acquire) != ServingState::kStarting) return absl::OkStatus();
  ApiErrorDetails details;
  details.retry_after = std::chrono::milliseconds(500);
  return ApiError(absl::StatusCode::kUnavailable, "NOT_READY", "the daemon is reading its store",
                  details);
}

void CallHost::CancelAll(const absl::Status& why) {
  // A cancelled call may remove itself while we are at it.
  const std::vector<std::shared_ptr<OpenCall>> calls(calls_.begin(), calls_.end());
  for (const auto& call : calls) call->Cancel(why);
}

absl::Status ShuttingDown() {
  ApiErrorDetails details;
  details.retry_after = std::chrono::milliseconds(1000);
  return ApiError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                  "the daemon is stopping; tasks live on and are taken over by the next start",
                  details);
}

absl::Status ServerBusy() {
  ApiErrorDetails details;
  details.retry_after = std::chrono::milliseconds(200);
  return ApiError(absl::StatusCode::kResourceExhausted, "SERVER_BUSY",
                  "too many requests wait; nothing of this one was done", details);
}

absl::Status StatusOfCall(const OpenCall& call, std::exception_ptr escaped, absl::Status result) {
  if (escaped == nullptr && result.ok()) return result;
  if (call.cancelled()) return call.why();
  if (escaped == nullptr) return result;
  try {
    std::rethrow_exception(escaped);
  } catch (const boost::system::system_error& error) {
    if (error.code() == boost::asio::error::operation_aborted) {
      return absl::CancelledError("the call was abandoned");
    }
    return absl::InternalError(absl::StrCat("unexpected: ", error.what()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("unexpected: ", error.what()));
  }
}

}  // namespace boxkeeper::daemon
