#include "daemon/service/request_bounds.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <string>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

absl::Status TooMany(const std::string& reason, const std::string& field,
                     const std::string& message) {
  ApiErrorDetails details;
  details.violations.push_back({field, message});
  return ApiError(absl::StatusCode::kInvalidArgument, reason, message, details);
}

// One walk over one message.
class Walk {
 public:
  explicit Walk(CodedInputStream& input) : input_(input) {}

  // To the end of the innermost limit.
  absl::Status Message(const Descriptor& type, int depth) {
    if (depth > kDepthMax) {
      return MalformedRequest(absl::StrCat("more than ", kDepthMax, " messages in each other"));
    }
    while (input_.BytesUntilLimit() > 0) {
      const uint32_t tag = input_.ReadTagNoLastTag();
      if (++fields_ > kFieldsMax) {
        return TooMany("TOO_MANY_FIELDS", "",
                       absl::StrCat("more than ", kFieldsMax, " fields in one request"));
      }
      const int number = WireFormatLite::GetTagFieldNumber(tag);
      // Also what reading beyond the end gives.
      if (number == 0) return MalformedRequest("a field without a number");
      const FieldDescriptor* field = type.FindFieldByNumber(number);
      if (depth == 0 && field != nullptr && field->is_repeated() && ++items_[number] > kItemsMax) {
        return TooMany(
            "TOO_MANY_ITEMS", field->name(),
            absl::StrCat("more than ", kItemsMax, " in one request; at most ", kItemsMax));
      }
      absl::Status walked = Value(WireFormatLite::GetTagWireType(tag), field, depth);
      if (!walked.ok()) return walked;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Value(WireFormatLite::WireType wire_type, const FieldDescriptor* field, int depth) {
    uint64_t varint = 0;
    switch (wire_type) {
      case WireFormatLite::WIRETYPE_VARINT:
        return input_.ReadVarint64(&varint) ? absl::OkStatus() : CutShort();
      case WireFormatLite::WIRETYPE_FIXED64:
        return input_.Skip(8) ? absl::OkStatus() : CutShort();
      case WireFormatLite::WIRETYPE_FIXED32:
        return input_.Skip(4) ? absl::OkStatus() : CutShort();
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return Delimited(field, depth);
      default:
        // Groups: the API has none, and a walk that guesses their end could be led past a list.
        return MalformedRequest("a wire type that this API does not use");
    }
  }

  absl::Status Delimited(const FieldDescriptor* field, int depth) {
    int bytes = 0;
    if (!input_.ReadVarintSizeAsInt(&bytes)) return CutShort();
    if (bytes > input_.BytesUntilLimit()) return CutShort();
    // An unknown field stays one string; so does a known one of another type.
    if (field == nullptr || field->type() != FieldDescriptor::TYPE_MESSAGE) {
      return input_.Skip(bytes) ? absl::OkStatus() : CutShort();
    }
    const CodedInputStream::Limit outer = input_.PushLimit(bytes);
    absl::Status walked = Message(*field->message_type(), depth + 1);
    input_.PopLimit(outer);
    return walked;
  }

  static absl::Status CutShort() { return MalformedRequest("a field ends beyond its message"); }

  CodedInputStream& input_;
  int64_t fields_ = 0;
  std::unordered_map<int, int> items_;  // by field of the request itself
};

}  // namespace

absl::Status MalformedRequest(const std::string& why) {
  return ApiError(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                  absl::StrCat("the request is no message of this method: ", why));
}

absl::Status CheckBounds(const grpc::ByteBuffer& wire, const Descriptor& type) {
  grpc::ByteBuffer reference(wire);
  grpc::ProtoBufferReader reader(&reference);
  if (!reader.status().ok()) return MalformedRequest("no message");
  CodedInputStream input(&reader);
  input.PushLimit(static_cast<int>(wire.Length()));
  return Walk(input).Message(type, 0);
}

}  // namespace boxkeeper::daemon
