#include "config/section_decoder.h"

#include <algorithm>
#include <sstream>

#include "config/read_value.h"
#include "config/schema.h"
#include "config/text_values.h"

namespace boxkeeper::config {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

// Sections that say something by being there.
constexpr std::string_view kOptional[] = {"server.tls", "logs.s3", "logs.gcs", "logs.azure"};

std::vector<std::string> Words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

int64_t Number(std::string_view text) { return std::stoll(std::string(text)); }

void SetWhole(Message* message, const FieldDescriptor* field, int64_t number) {
  const auto* reflection = message->GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    reflection->SetInt32(message, field, static_cast<int32_t>(number));
  } else {
    reflection->SetInt64(message, field, number);
  }
}

// One leaf. A mistake leaves the field unset: the whole result is then unusable anyway.
void DecodeLeaf(const SchemaKey& key, const Value& value, const std::string& path, Message* message,
                const FieldDescriptor* field, ValueReader& reader) {
  const auto* reflection = message->GetReflection();
  switch (key.type) {
    case KeyType::kText:
    case KeyType::kPath:
      if (auto text = reader.Text(value, path)) reflection->SetString(message, field, *text);
      break;
    case KeyType::kChoice:
      if (auto text = reader.Choice(value, path, Words(key.choices))) {
        reflection->SetString(message, field, *text);
      }
      break;
    case KeyType::kBool:
      if (auto boolean = reader.Bool(value, path)) reflection->SetBool(message, field, *boolean);
      break;
    case KeyType::kWhole:
      if (auto number = reader.Whole(value, path, Number(key.min), Number(key.max))) {
        SetWhole(message, field, *number);
      }
      break;
    case KeyType::kSize:
      if (auto bytes = reader.Size(value, path, key.min, key.max)) {
        reflection->SetInt64(message, field, *bytes);
      }
      break;
    case KeyType::kDuration:
      if (auto duration = reader.Duration(value, path, key.min, key.max)) {
        reflection->MutableMessage(message, field)->CopyFrom(ToProto(*duration));
      }
      break;
    case KeyType::kTextList:
    case KeyType::kOneOrMore:
      if (auto texts = reader.TextList(value, path, key.type == KeyType::kOneOrMore)) {
        reflection->ClearField(message, field);
        for (const std::string& text : *texts) reflection->AddString(message, field, text);
      }
      break;
    case KeyType::kSection:
    case KeyType::kSpecMap:
    case KeyType::kProviders:
      break;
  }
}

// The table's default as a value, so that it takes the same way as one from a file.
Value DefaultOf(const SchemaKey& key) {
  Value value;
  value.text = std::string(key.default_text);
  switch (key.type) {
    case KeyType::kBool:
      value.kind = Value::Kind::kBool;
      value.boolean = key.default_text == "true";
      break;
    case KeyType::kWhole:
      value.kind = Value::Kind::kNumber;
      value.number = static_cast<double>(Number(key.default_text));
      break;
    case KeyType::kTextList:
      value.kind = Value::Kind::kList;
      break;
    default:
      value.kind = Value::Kind::kText;
      break;
  }
  return value;
}

void RefuseUnknown(const Value& map, const std::string& schema_path, const std::string& path,
                   ValueReader& reader) {
  const std::vector<std::string> known = KeysBelow(schema_path);
  for (const Value::Entry& entry : map.entries) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      reader.UnknownKey(entry, path, known);
    }
  }
}

}  // namespace

void DecodeSection(const Value& map, const std::string& schema_path, const std::string& path,
                   bool ignore_unknown, Message* message, std::vector<Problem>* problems) {
  ValueReader reader(problems);
  if (!reader.IsMap(map, path)) return;
  if (!ignore_unknown) RefuseUnknown(map, schema_path, path, reader);
  for (const std::string& name : KeysBelow(schema_path)) {
    const std::string key_path = Join(schema_path, name);
    const SchemaKey& key = *FindKey(key_path);
    if (key.type == KeyType::kSpecMap || key.type == KeyType::kProviders) continue;
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    const Value* value = map.Find(name);
    if (key.type == KeyType::kSection) {
      if (value == nullptr && std::ranges::count(kOptional, key_path) > 0) continue;
      Value empty;
      empty.kind = Value::Kind::kMap;
      DecodeSection(value == nullptr || value->kind == Value::Kind::kNull ? empty : *value,
                    key_path, Join(path, name), /*ignore_unknown=*/false,
                    message->GetReflection()->MutableMessage(message, field), problems);
    } else {
      DecodeLeaf(key, value == nullptr ? DefaultOf(key) : *value, Join(path, name), message, field,
                 reader);
    }
  }
}

}  // namespace boxkeeper::config
