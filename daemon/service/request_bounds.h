// What a request may cost before it is parsed: a message of a few bytes a field would otherwise
// become gigabytes of objects.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace boxkeeper::daemon {

// Entries of each list of a request: tasks of a submission, tasks or ids of any other.
constexpr int kItemsMax = 1000;
// Fields of a request on the wire, those of its sub-messages included. A field of 2 bytes becomes
// an object of up to about 100, so a request stays below some 100 MB whatever its bytes are. Real
// ones never come near it: 8 MiB of names and values have 10 bytes a field or more.
constexpr int64_t kFieldsMax = 1'000'000;
// Sub-messages within each other; protobuf's own limit.
constexpr int kDepthMax = 100;

// Walks over the wire form of a message of `type` without making an object of it; no more than the
// limits' worth of it. OK, or kInvalidArgument with reason TOO_MANY_ITEMS, TOO_MANY_FIELDS, or
// MALFORMED_REQUEST for what no parser would take. Values are not looked at: what passes may still
// fail to parse.
absl::Status CheckBounds(const grpc::ByteBuffer& wire, const google::protobuf::Descriptor& type);

// The error for bytes that are no message of the method.
absl::Status MalformedRequest(const std::string& why);

}  // namespace boxkeeper::daemon
