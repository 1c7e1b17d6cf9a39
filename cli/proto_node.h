// The JSON mapping of this API: protobuf's own, with the proto's field names, enums without their
// type's prefix, fields with default values present, and unset `optional`, `oneof` and message
// fields absent.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "cli/node.h"

namespace boxkeeper::cli {

Node ProtoNode(const google::protobuf::Message& message);

// "SUCCEEDED" of TASK_STATE_SUCCEEDED. A number that this program does not know stays a number.
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number);
template <typename E>
std::string EnumWord(E value) {
  return EnumWord(*google::protobuf::GetEnumDescriptor<E>(), static_cast<int>(value));
}

}  // namespace boxkeeper::cli
