// Between the bytes of gRPC and messages. The services take bytes, so that a request is built only
// for a caller that was admitted and only within bounds, and so that one that does not parse gets
// an answer like any other error.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace boxkeeper::daemon {

// Checks `wire` against the bounds, then parses it into `request`. kInvalidArgument with reason
// TOO_MANY_ITEMS, TOO_MANY_FIELDS or MALFORMED_REQUEST.
absl::Status ParseRequest(const grpc::ByteBuffer& wire, google::protobuf::Message& request);

grpc::Status SerializeResponse(const google::protobuf::Message& response, grpc::ByteBuffer& wire);

}  // namespace boxkeeper::daemon
