#include "daemon/submit/canonical.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "base/task_key.h"

namespace boxkeeper::daemon {
namespace {

using google::protobuf::Struct;
using PbValue = google::protobuf::Value;

// Tags are part of the stored digest: never change or reuse one.
enum Tag : char {
  kKey = 'K',
  kArgs = 'A',
  kShell = 'S',
  kScript = 'P',
  kNoCommand = '-',
  kOverride = 'O',
  kFiles = 'F',
  kSecrets = 'X',
  kLabels = 'L',
  kItem = 'i',
  kName = 'n',
  kNull = '0',
  kBool = 'b',
  kNumber = 'd',
  kText = 't',
  kList = 'l',
  kMap = 'm',
  kKeyedHash = 'h',
  kEnvReference = 'e',
  kFileReference = 'f',
  kBlob = 'B',
};

class Writer {
 public:
  Writer() { out_.reserve(kUsualBytes); }
  void Field(Tag tag, std::string_view bytes) {
    Header(tag, bytes.size());
    out_.append(bytes);
  }
  void Number(Tag tag, uint64_t number) {
    char bytes[8];
    Encode(number, bytes);
    Field(tag, std::string_view(bytes, sizeof(bytes)));
  }
  // What `fill` writes, with its length in front.
  template <typename Fill>
  void Group(Tag tag, Fill fill) {
    Header(tag, 0);
    const size_t begin = out_.size();
    fill();
    Encode(out_.size() - begin, out_.data() + begin - 8);
  }
  std::string Take() { return std::move(out_); }

 private:
  void Header(Tag tag, uint64_t size) {
    out_ += static_cast<char>(tag);
    char bytes[8];
    Encode(size, bytes);
    out_.append(bytes, sizeof(bytes));
  }
  static void Encode(uint64_t number, char* bytes) {
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  }

  static constexpr size_t kUsualBytes = 512;
  std::string out_ = "bk1\n";
};

// A protobuf map in order of its keys.
template <typename Map>
std::vector<const typename Map::value_type*> Sorted(const Map& map) {
  std::vector<const typename Map::value_type*> entries;
  entries.reserve(map.size());
  for (const auto& entry : map) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  return entries;
}

void WriteStruct(const Struct& input, Writer& writer);

void WriteValue(const PbValue& value, Writer& writer) {
  switch (value.kind_case()) {
    case PbValue::kBoolValue:
      return writer.Field(kBool, value.bool_value() ? "1" : "0");
    case PbValue::kNumberValue: {
      double number = value.number_value();
      if (number == 0) number = 0;  // -0
      if (std::isnan(number)) number = std::numeric_limits<double>::quiet_NaN();
      return writer.Number(kNumber, std::bit_cast<uint64_t>(number));
    }
    case PbValue::kStringValue:
      return writer.Field(kText, value.string_value());
    case PbValue::kListValue:
      return writer.Group(kList, [&] {
        for (const PbValue& item : value.list_value().values()) WriteValue(item, writer);
      });
    case PbValue::kStructValue:
      return writer.Group(kMap, [&] { WriteStruct(value.struct_value(), writer); });
    default:
      return writer.Field(kNull, "");
  }
}

void WriteStruct(const Struct& input, Writer& writer) {
  for (const auto* entry : Sorted(input.fields())) {
    writer.Field(kName, entry->first);
    WriteValue(entry->second, writer);
  }
}

void WriteCommand(const v1::Command& command, Writer& writer) {
  switch (command.form_case()) {
    case v1::Command::kArgv:
      return writer.Group(kArgs, [&] {
        for (const std::string& arg : command.argv().args()) writer.Field(kItem, arg);
      });
    case v1::Command::kShell:
      return writer.Field(kShell, command.shell());
    case v1::Command::kScript:
      return writer.Group(kScript, [&] {
        writer.Field(kName, command.script().lang());
        writer.Field(kText, command.script().body());
      });
    case v1::Command::FORM_NOT_SET:
      return writer.Field(kNoCommand, "");
  }
}

void WriteFiles(const v1::TaskSpec& spec, const SecretKeeper& keeper, Writer& writer) {
  for (const v1::TaskFile& file : spec.files()) {
    writer.Field(kName, file.path());
    writer.Number(kNumber, file.mode());
    if (file.secret()) {
      writer.Field(kKeyedHash, keeper.KeyedHash(file.content()));
    } else if (!file.blob().empty()) {
      writer.Field(kBlob, file.blob());
    } else {
      writer.Field(kText, file.content());
    }
  }
}

void WriteSecrets(const v1::TaskSpec& spec, const SecretKeeper& keeper, Writer& writer) {
  for (const auto* entry : Sorted(spec.secrets())) {
    writer.Field(kName, entry->first);
    const v1::Secret& secret = entry->second;
    switch (secret.source_case()) {
      case v1::Secret::kValue:
        writer.Field(kKeyedHash, keeper.KeyedHash(secret.value()));
        break;
      case v1::Secret::kEnv:
        writer.Field(kEnvReference, secret.env());
        break;
      case v1::Secret::kFile:
        writer.Field(kFileReference, secret.file());
        break;
      case v1::Secret::SOURCE_NOT_SET:
        writer.Field(kNull, "");
        break;
    }
  }
}

}  // namespace

std::string CanonicalContent(const v1::TaskSpec& spec, const SecretKeeper& keeper) {
  Writer writer;
  writer.Field(kKey, base::KeyString(spec.key()));
  WriteCommand(spec.command(), writer);
  writer.Group(kOverride, [&] { WriteStruct(spec.sandbox_override(), writer); });
  writer.Group(kFiles, [&] { WriteFiles(spec, keeper, writer); });
  writer.Group(kSecrets, [&] { WriteSecrets(spec, keeper, writer); });
  writer.Group(kLabels, [&] {
    for (const auto* entry : Sorted(spec.labels())) {
      writer.Field(kName, entry->first);
      writer.Field(kText, entry->second);
    }
  });
  return writer.Take();
}

std::string ContentDigest(const v1::TaskSpec& spec, const SecretKeeper& keeper) {
  return base::Sha256(CanonicalContent(spec, keeper));
}

}  // namespace boxkeeper::daemon
