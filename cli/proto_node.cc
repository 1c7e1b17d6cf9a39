#include "cli/proto_node.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace boxkeeper::cli {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

std::string UpperSnake(const std::string& camel) {
  std::string out;
  for (char c : camel) {
    bool upper = c >= 'A' && c <= 'Z';
    if (upper && !out.empty()) out += '_';
    out += upper || c < 'a' || c > 'z' ? c : static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// 0, 3, 6 or 9 digits with their point, as protobuf's mapping has them.
std::string Fraction(int64_t nanos) {
  if (nanos == 0) return "";
  if (nanos % 1'000'000 == 0) return absl::StrFormat(".%03d", nanos / 1'000'000);
  if (nanos % 1'000 == 0) return absl::StrFormat(".%06d", nanos / 1'000);
  return absl::StrFormat(".%09d", nanos);
}

std::string TimestampText(int64_t seconds, int64_t nanos) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(seconds),
                          absl::UTCTimeZone()) +
         Fraction(nanos) + "Z";
}

std::string DurationText(int64_t seconds, int64_t nanos) {
  bool negative = seconds < 0 || nanos < 0;
  return absl::StrCat(negative ? "-" : "", std::abs(seconds), Fraction(std::abs(nanos)), "s");
}

Node NumberNode(double value) {
  if (std::isnan(value)) return Node::Text("NaN");
  if (std::isinf(value)) return Node::Text(value > 0 ? "Infinity" : "-Infinity");
  char buffer[64];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return Node::Bare(std::string(buffer, end));
}

Node StructNode(const google::protobuf::Struct& fields);

Node ValueNode(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return NumberNode(value.number_value());
    case google::protobuf::Value::kStringValue:
      return Node::Text(value.string_value());
    case google::protobuf::Value::kBoolValue:
      return Node::Bool(value.bool_value());
    case google::protobuf::Value::kStructValue:
      return StructNode(value.struct_value());
    case google::protobuf::Value::kListValue: {
      List list;
      for (const auto& item : value.list_value().values()) list.push_back(ValueNode(item));
      return Node{std::move(list)};
    }
    default:
      return Node::Bare("null");
  }
}

void SortByName(Object& object) {
  std::sort(object.begin(), object.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
}

Node StructNode(const google::protobuf::Struct& fields) {
  Object object;
  for (const auto& [name, value] : fields.fields()) object.emplace_back(name, ValueNode(value));
  SortByName(object);
  return Node{std::move(object)};
}

// One value of `field`: element `index` of a repeated one, the value itself where index is -1.
Node FieldNode(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const FieldDescriptor* f = &field;
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Node::Bare(
          absl::StrCat(one ? r.GetInt32(message, f) : r.GetRepeatedInt32(message, f, index)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Node::Bare(
          absl::StrCat(one ? r.GetUInt32(message, f) : r.GetRepeatedUInt32(message, f, index)));
    case FieldDescriptor::CPPTYPE_INT64:  // text: JavaScript's numbers cannot hold them
      return Node::Text(
          absl::StrCat(one ? r.GetInt64(message, f) : r.GetRepeatedInt64(message, f, index)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Node::Text(
          absl::StrCat(one ? r.GetUInt64(message, f) : r.GetRepeatedUInt64(message, f, index)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberNode(one ? r.GetDouble(message, f) : r.GetRepeatedDouble(message, f, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return NumberNode(one ? r.GetFloat(message, f) : r.GetRepeatedFloat(message, f, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return Node::Bool(one ? r.GetBool(message, f) : r.GetRepeatedBool(message, f, index));
    case FieldDescriptor::CPPTYPE_ENUM: {
      int number = one ? r.GetEnumValue(message, f) : r.GetRepeatedEnumValue(message, f, index);
      return Node::Text(EnumWord(*field.enum_type(), number));
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = one ? r.GetString(message, f) : r.GetRepeatedString(message, f, index);
      return Node::Text(field.type() == FieldDescriptor::TYPE_BYTES ? absl::Base64Escape(text)
                                                                    : std::move(text));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ProtoNode(one ? r.GetMessage(message, f) : r.GetRepeatedMessage(message, f, index));
  }
  return Node::Bare("null");
}

std::string MapKeyText(const Node& key) {
  if (const auto* text = std::get_if<std::string>(&key.value)) return *text;
  return std::get<Literal>(key.value).text;
}

Node MapNode(const Message& message, const FieldDescriptor& field) {
  Object object;
  const Reflection& r = *message.GetReflection();
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    const Message& entry = r.GetRepeatedMessage(message, &field, i);
    const Descriptor& type = *entry.GetDescriptor();
    object.emplace_back(MapKeyText(FieldNode(entry, *type.map_key(), -1)),
                        FieldNode(entry, *type.map_value(), -1));
  }
  SortByName(object);
  return Node{std::move(object)};
}

Node RepeatedNode(const Message& message, const FieldDescriptor& field) {
  List list;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    list.push_back(FieldNode(message, field, i));
  }
  return Node{std::move(list)};
}

}  // namespace

std::string EnumWord(const EnumDescriptor& type, int number) {
  const auto* value = type.FindValueByNumber(number);
  if (value == nullptr) return absl::StrCat(number);
  const std::string prefix = UpperSnake(type.name()) + "_";
  const std::string& name = value->name();
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

Node ProtoNode(const Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) {
    return Node::Text(TimestampText(time->seconds(), time->nanos()));
  }
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&message)) {
    return Node::Text(DurationText(duration->seconds(), duration->nanos()));
  }
  if (const auto* fields = dynamic_cast<const google::protobuf::Struct*>(&message)) {
    return StructNode(*fields);
  }
  Object object;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_map()) {
      object.emplace_back(field.name(), MapNode(message, field));
    } else if (field.is_repeated()) {
      object.emplace_back(field.name(), RepeatedNode(message, field));
    } else if (!field.has_presence() || message.GetReflection()->HasField(message, &field)) {
      object.emplace_back(field.name(), FieldNode(message, field, -1));
    }
  }
  return Node{std::move(object)};
}

}  // namespace boxkeeper::cli
