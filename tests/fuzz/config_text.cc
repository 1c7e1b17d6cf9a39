#include "tests/fuzz/config_text.h"

#include <cstdio>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "config/schema.h"
#include "google/protobuf/reflection.h"
#include "google/protobuf/struct.pb.h"

namespace boxkeeper::fuzz {
namespace {

using config::KeyType;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

uint32_t CodePoint(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  uint32_t code = byte(0) & (0xffu >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) code = code << 6 | (byte(i) & 0x3fu);
  return code;
}

// In double quotes; all but plain ASCII as escapes.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = std::max<size_t>(base::Utf8Length(text), 1);
    const uint32_t code = CodePoint(text.substr(0, length));
    text.remove_prefix(length);
    if (code >= 0x20 && code < 0x7f && code != '"' && code != '\\') {
      out += static_cast<char>(code);
    } else {
      char escape[16];
      snprintf(escape, sizeof(escape), "\\U%08x", code);
      out += escape;
    }
  }
  return out + '"';
}

std::string NumberText(double number) {
  char text[40];
  snprintf(text, sizeof(text), "%.17g", number);
  return text;
}

std::string DurationText(const google::protobuf::Duration& duration) {
  char text[64];
  snprintf(text, sizeof(text), "%llds%d.%03dus", static_cast<long long>(duration.seconds()),
           duration.nanos() / 1000, duration.nanos() % 1000);
  return text;
}

// "{k: v, ...}" and "[v, ...]".
class Flow {
 public:
  explicit Flow(const char* brackets) : close_(brackets[1]), out_(1, brackets[0]) {}
  void Item(const std::string& value) { absl::StrAppend(&out_, value, ", "); }
  void Entry(std::string_view key, const std::string& value) {
    absl::StrAppend(&out_, Quoted(key), ": ", value, ", ");
  }
  std::string Take() { return out_ + close_; }

 private:
  const char close_;
  std::string out_;
};

template <typename Texts>
std::string ListText(const Texts& texts) {
  Flow list("[]");
  for (const std::string& text : texts) list.Item(Quoted(text));
  return list.Take();
}

std::string ValueText(const google::protobuf::Value& value) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kNumberValue:
      return NumberText(value.number_value());
    case Value::kStringValue:
      return Quoted(value.string_value());
    case Value::kListValue: {
      Flow list("[]");
      for (const Value& item : value.list_value().values()) list.Item(ValueText(item));
      return list.Take();
    }
    case Value::kStructValue: {
      Flow map("{}");
      for (const auto& [key, item] : value.struct_value().fields()) map.Entry(key, ValueText(item));
      return map.Take();
    }
    default:
      return "null";
  }
}

std::string LeafText(const config::SchemaKey& key, const Message& message,
                     const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  const bool narrow = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  switch (key.type) {
    case KeyType::kBool:
      return reflection->GetBool(message, field) ? "true" : "false";
    case KeyType::kWhole:
      return std::to_string(narrow ? reflection->GetInt32(message, field)
                                   : reflection->GetInt64(message, field));
    case KeyType::kSize:
      return absl::StrCat(reflection->GetInt64(message, field), "B");
    case KeyType::kDuration:
      return DurationText(
          dynamic_cast<const google::protobuf::Duration&>(reflection->GetMessage(message, field)));
    case KeyType::kTextList:
    case KeyType::kOneOrMore:
      return ListText(reflection->GetRepeatedFieldRef<std::string>(message, field));
    default:
      return Quoted(reflection->GetString(message, field));
  }
}

std::string LogText(const v1::LogSpec& log) {
  Flow map("{}");
  if (!log.layout().empty()) map.Entry("layout", Quoted(log.layout()));
  if (!log.path().empty()) map.Entry("path", Quoted(log.path()));
  if (log.streams_size() > 0) map.Entry("streams", ListText(log.streams()));
  return map.Take();
}

std::string EnvText(const v1::SandboxSpec& spec) {
  Flow map("{}");
  for (const auto& [name, value] : spec.env()) map.Entry(name, Quoted(value));
  return map.Take();
}

std::string VolumesText(const v1::SandboxSpec& spec) {
  Flow list("[]");
  for (const v1::Volume& volume : spec.volumes()) {
    list.Item(Quoted(
        absl::StrCat(volume.source(), ":", volume.target(), volume.read_only() ? ":ro" : ":rw")));
  }
  return list.Take();
}

// The keys that the layer sets.
void AddSpec(const config::v1::SpecLayer& layer, Flow& map) {
  const v1::SandboxSpec& spec = layer.spec();
  const std::pair<std::string_view, std::function<std::string()>> keys[] = {
      {"cpu", [&] { return NumberText(spec.cpu()); }},
      {"disk_mb", [&] { return std::to_string(spec.disk_mb()); }},
      {"env", [&] { return EnvText(spec); }},
      {"gpu", [&] { return Quoted(spec.gpu()); }},
      {"grace", [&] { return DurationText(spec.grace()); }},
      {"image", [&] { return Quoted(spec.image()); }},
      {"log", [&] { return LogText(spec.log()); }},
      {"memory_mb", [&] { return std::to_string(spec.memory_mb()); }},
      {"network", [&] { return Quoted(spec.network()); }},
      {"pids", [&] { return std::to_string(spec.pids()); }},
      {"priority", [&] { return std::to_string(spec.priority()); }},
      {"provider", [&] { return ListText(spec.provider()); }},
      {"provider_options",
       [&] {
         google::protobuf::Value value;
         *value.mutable_struct_value() = spec.provider_options();
         return ValueText(value);
       }},
      {"read_only_root", [&] { return spec.read_only_root() ? "true" : "false"; }},
      {"template", [&] { return Quoted(spec.template_()); }},
      {"timeout", [&] { return DurationText(spec.timeout()); }},
      {"user", [&] { return Quoted(spec.user()); }},
      {"volumes", [&] { return VolumesText(spec); }},
      {"workdir", [&] { return Quoted(spec.workdir()); }},
  };
  for (const auto& [key, text] : keys) {
    for (const std::string& set : layer.set()) {
      if (set == key) map.Entry(key, text());
    }
  }
}

std::string SectionText(const std::string& path, const Message& message);

std::string ProvidersText(const config::v1::Config& config) {
  Flow map("{}");
  for (const config::v1::Provider& provider : config.providers()) {
    Flow section("{}");
    section.Item(SectionText("providers.*", provider));
    AddSpec(provider.spec(), section);
    for (const auto& [key, value] : provider.options().fields()) {
      section.Entry(key, ValueText(value));
    }
    map.Entry(provider.name(), section.Take());
  }
  return map.Take();
}

std::string ProfilesText(const config::v1::Config& config) {
  Flow map("{}");
  for (const auto& [name, layer] : config.profiles()) {
    Flow section("{}");
    AddSpec(layer, section);
    map.Entry(name, section.Take());
  }
  return map.Take();
}

// The entries of a section, without brackets.
std::string SectionText(const std::string& path, const Message& message) {
  std::string out;
  for (const std::string& name : config::KeysBelow(path)) {
    const std::string key_path = path.empty() ? name : absl::StrCat(path, ".", name);
    const config::SchemaKey& key = *config::FindKey(key_path);
    if (key.type == KeyType::kSpecMap || key.type == KeyType::kProviders) continue;
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
    const auto* reflection = message.GetReflection();
    std::string value;
    if (key.type == KeyType::kSection) {
      if (!reflection->HasField(message, field)) continue;
      value = absl::StrCat("{", SectionText(key_path, reflection->GetMessage(message, field)), "}");
    } else {
      value = LeafText(key, message, field);
    }
    absl::StrAppend(&out, out.empty() ? "" : ", ", Quoted(name), ": ", value);
  }
  return out;
}

}  // namespace

std::string ConfigText(const config::v1::Config& config) {
  return absl::StrCat("{", SectionText("", config), ", \"providers\": ", ProvidersText(config),
                      ", \"profiles\": ", ProfilesText(config), "}\n");
}

}  // namespace boxkeeper::fuzz
