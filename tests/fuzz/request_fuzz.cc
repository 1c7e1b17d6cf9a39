// Any other request of the API as the network brings it, by its first byte: bounds, parsing,
// checks. What passes the bounds is within them, and what is refused says which field.
#include <grpcpp/support/byte_buffer.h>

#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/api_error.h"
#include "daemon/service/request_bounds.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

template <typename Request>
void Check(const grpc::ByteBuffer& wire) {
  Request request;
  const absl::Status parsed = daemon::ParseRequest(wire, request);
  if (!parsed.ok()) {
    Require(absl::IsInvalidArgument(parsed), "what is no request is an invalid argument",
            parsed.ToString());
    return;
  }
  const absl::Status checked = daemon::CheckRequest(request);
  Require(checked.ok() || (absl::IsInvalidArgument(checked) && !checked.message().empty()),
          "a refused request says why", checked.ToString());
  // What was taken can be sent on.
  grpc::ByteBuffer again;
  Require(daemon::SerializeResponse(request, again).ok(), "a message serialises");
  Request second;
  Require(daemon::ParseRequest(again, second).ok(), "a message parses again");
  Require(second.SerializeAsString().size() == request.SerializeAsString().size(),
          "a message survives the wire");
}

using Checker = void (*)(const grpc::ByteBuffer&);
constexpr Checker kCheckers[] = {
    Check<v1::GetTaskRequest>,       Check<v1::ListTasksRequest>,
    Check<v1::WaitTaskRequest>,      Check<v1::CancelTasksRequest>,
    Check<v1::WatchEventsRequest>,   Check<v1::AckEventsRequest>,
    Check<v1::AdoptTasksRequest>,    Check<v1::ReadLogRequest>,
    Check<v1::GetCapacityRequest>,   Check<v1::RenewLeaseRequest>,
    Check<v1::GetStatusRequest>,     Check<v1::ListSandboxesRequest>,
    Check<v1::ListProvidersRequest>, Check<v1::DrainRequest>,
    Check<v1::ReloadRequest>,        Check<v1::AbandonTaskRequest>,
    Check<v1::ListOrphansRequest>,   Check<v1::ReapOrphansRequest>,
    Check<v1::ListArtifactsRequest>, Check<v1::ReadArtifactRequest>,
};

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  if (size == 0) return 0;
  const grpc::Slice slice(data + 1, size - 1);
  fuzz::kCheckers[data[0] % std::size(fuzz::kCheckers)](grpc::ByteBuffer(&slice, 1));
  return 0;
}
