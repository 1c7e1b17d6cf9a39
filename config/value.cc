#include "config/value.h"

#include <algorithm>
#include <numeric>

namespace boxkeeper::config {
namespace {

using PbValue = ::google::protobuf::Value;

Value FromPb(const PbValue& input) {
  Value value;
  switch (input.kind_case()) {
    case PbValue::kBoolValue:
      value.kind = Value::Kind::kBool;
      value.boolean = input.bool_value();
      break;
    case PbValue::kNumberValue:
      value.kind = Value::Kind::kNumber;
      value.number = input.number_value();
      break;
    case PbValue::kStringValue:
      value.kind = Value::Kind::kText;
      value.text = input.string_value();
      break;
    case PbValue::kListValue:
      value.kind = Value::Kind::kList;
      for (const PbValue& item : input.list_value().values()) value.items.push_back(FromPb(item));
      break;
    case PbValue::kStructValue:
      return FromStruct(input.struct_value());
    default:  // null, or a Value without a kind
      break;
  }
  return value;
}

PbValue ToPb(const Value& value) {
  PbValue output;
  switch (value.kind) {
    case Value::Kind::kNull:
      output.set_null_value(::google::protobuf::NULL_VALUE);
      break;
    case Value::Kind::kBool:
      output.set_bool_value(value.boolean);
      break;
    case Value::Kind::kNumber:
      output.set_number_value(value.number);
      break;
    case Value::Kind::kText:
      output.set_string_value(value.text);
      break;
    case Value::Kind::kList:
      output.mutable_list_value();
      for (const Value& item : value.items) *output.mutable_list_value()->add_values() = ToPb(item);
      break;
    case Value::Kind::kMap:
      *output.mutable_struct_value() = ToStruct(value);
      break;
  }
  return output;
}

// Levenshtein's distance; both texts are short.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

const Value* Value::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string Describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return "nothing";
    case Value::Kind::kBool:
      return "a truth value";
    case Value::Kind::kNumber:
      return "a number";
    case Value::Kind::kText:
      return "text";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

Value FromStruct(const google::protobuf::Struct& input) {
  Value value;
  value.kind = Value::Kind::kMap;
  value.entries.reserve(input.fields_size());
  for (const auto& [key, field] : input.fields()) {
    value.entries.push_back({.key = key, .line = 0, .value = FromPb(field)});
  }
  // A protobuf map has no order: sort, so that mistakes are reported in the same order each time.
  std::sort(value.entries.begin(), value.entries.end(),
            [](const Value::Entry& a, const Value::Entry& b) { return a.key < b.key; });
  return value;
}

google::protobuf::Struct ToStruct(const Value& map) {
  google::protobuf::Struct output;
  for (const Value::Entry& entry : map.entries) {
    (*output.mutable_fields())[entry.key] = ToPb(entry.value);
  }
  return output;
}

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::string DidYouMean(const std::string& key, const std::vector<std::string>& candidates) {
  constexpr size_t kKeyLengthMax = 64;  // longer keys are no typing errors of ours
  if (key.size() > kKeyLengthMax) return "";
  size_t best = std::clamp<size_t>(key.size() / 2, 1, 3) + 1;  // nearer than this
  const std::string* nearest = nullptr;
  for (const std::string& candidate : candidates) {
    const size_t distance = Distance(key, candidate);
    if (distance < best) {
      best = distance;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? "" : ", did you mean '" + *nearest + "'?";
}

}  // namespace boxkeeper::config
