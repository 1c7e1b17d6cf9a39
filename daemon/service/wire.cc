#include "daemon/service/wire.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "daemon/service/request_bounds.h"

namespace boxkeeper::daemon {

using Traits = grpc::SerializationTraits<google::protobuf::Message>;

absl::Status ParseRequest(const grpc::ByteBuffer& wire, google::protobuf::Message& request) {
  absl::Status bounded = CheckBounds(wire, *request.GetDescriptor());
  if (!bounded.ok()) return bounded;
  grpc::ByteBuffer reference(wire);  // parsing clears it
  if (!Traits::Deserialize(&reference, &request).ok()) {
    return MalformedRequest(
        "it does not parse (cut short, text that is no UTF-8, nested too deep)");
  }
  return absl::OkStatus();
}

grpc::Status SerializeResponse(const google::protobuf::Message& response, grpc::ByteBuffer& wire) {
  wire.Clear();  // of what a stream sent before
  bool own_buffer = false;
  return Traits::Serialize(response, &wire, &own_buffer);
}

}  // namespace boxkeeper::daemon
