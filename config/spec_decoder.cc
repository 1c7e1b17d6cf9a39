#include "config/spec_decoder.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/core/outputs_format.h"
#include "base/file_path.h"
#include "config/read_value.h"
#include "config/text_values.h"

namespace boxkeeper::config {
namespace {

using Kind = Value::Kind;
using SandboxSpec = ::boxkeeper::v1::SandboxSpec;

constexpr unsigned kInProvider = 1;
constexpr unsigned kInProfile = 2;
constexpr unsigned kInOverride = 4;
constexpr unsigned kAnywhere = kInProvider | kInProfile | kInOverride;

// Reads `value` into `spec`; false after a problem.
using Read = bool (*)(ValueReader& reader, const Value& value, const std::string& path,
                      SandboxSpec* spec);

struct SpecKey {
  std::string_view name;
  unsigned places;
  Read read;  // nullptr: of the design, but not supported by this version
};

template <auto Setter, int64_t kMin, int64_t kMax>
bool ReadWhole(ValueReader& reader, const Value& value, const std::string& path,
               SandboxSpec* spec) {
  const auto number = reader.Whole(value, path, kMin, kMax);
  if (number.has_value()) (spec->*Setter)(*number);
  return number.has_value();
}

bool ReadCpu(ValueReader& reader, const Value& value, const std::string& path, SandboxSpec* spec) {
  constexpr double kCoresMax = 4096;
  const auto cores = reader.NumberAbove(value, path, 0, kCoresMax);
  if (cores.has_value()) spec->set_cpu(*cores);
  return cores.has_value();
}

void SetImage(SandboxSpec* spec, std::string text) { spec->set_image(std::move(text)); }
void SetTemplate(SandboxSpec* spec, std::string text) { spec->set_template_(std::move(text)); }
void SetUser(SandboxSpec* spec, std::string text) { spec->set_user(std::move(text)); }
void SetNetwork(SandboxSpec* spec, std::string text) { spec->set_network(std::move(text)); }

template <void (*kSet)(SandboxSpec*, std::string)>
bool ReadTextWith(ValueReader& reader, const Value& value, const std::string& path,
                  SandboxSpec* spec) {
  constexpr size_t kLengthMax = 1024;
  auto text = reader.Text(value, path, kLengthMax);
  if (!text.has_value()) return false;
  kSet(spec, *std::move(text));
  return true;
}

bool ReadProfile(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  auto name = reader.Text(value, path);
  if (!name.has_value()) return false;
  if (name->empty()) {
    reader.Add(path, value.line, "is empty; allowed: the name of a configured profile");
    return false;
  }
  spec->set_profile(*std::move(name));
  return true;
}

bool ReadProvider(ValueReader& reader, const Value& value, const std::string& path,
                  SandboxSpec* spec) {
  constexpr size_t kProvidersMax = 64;
  auto names = reader.TextList(value, path, /*or_one=*/true, kProvidersMax);
  if (!names.has_value()) return false;
  const bool has_auto = std::find(names->begin(), names->end(), "auto") != names->end();
  if (names->empty() || names->front().empty() || (has_auto && names->size() > 1)) {
    reader.Add(path, value.line,
               "allowed: a provider's name, a list of at least one name, or auto alone");
    return false;
  }
  spec->mutable_provider()->Assign(names->begin(), names->end());
  return true;
}

bool ReadGpu(ValueReader& reader, const Value& value, const std::string& path, SandboxSpec* spec) {
  if (value.kind == Kind::kNumber) {  // "gpu: 2" says enough
    const auto count = reader.Whole(value, path, 1, 1024);
    if (count.has_value()) spec->set_gpu(std::to_string(*count));
    return count.has_value();
  }
  auto text = reader.Text(value, path, 256);
  if (!text.has_value()) return false;
  spec->set_gpu(*std::move(text));
  return true;
}

bool ReadEnv(ValueReader& reader, const Value& value, const std::string& path, SandboxSpec* spec) {
  if (!reader.IsMap(value, path)) return false;
  bool good = true;
  for (const Value::Entry& entry : value.entries) {
    if (std::string wrong = CheckEnvName(entry.key); !wrong.empty()) {
      reader.Add(path, entry.line, wrong);
      good = false;
      continue;
    }
    constexpr size_t kValueBytesMax = 1 << 20;
    auto text = reader.Text(entry.value, Join(path, entry.key), kValueBytesMax);
    if (text.has_value()) {
      (*spec->mutable_env())[entry.key] = *std::move(text);
    } else {
      good = false;
    }
  }
  return good;
}

bool ReadWorkdir(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  auto text = reader.Text(value, path);
  if (!text.has_value()) return false;
  if (!text->empty() && text->front() != '/') {
    reader.Add(
        path, value.line,
        "is not absolute; allowed: a path that starts with '/', or \"\" (the sandbox's own)");
    return false;
  }
  spec->set_workdir(*std::move(text));
  return true;
}

bool ReadStdin(ValueReader& reader, const Value& value, const std::string& path,
               SandboxSpec* spec) {
  auto text = reader.Text(value, path);
  if (!text.has_value()) return false;
  const auto file = text->empty() ? text : base::NormalFilePath(*text);
  if (!file.has_value()) {
    reader.Add(path, value.line,
               "names no file of the sandbox; allowed: a path of at most 4096 bytes without '..', "
               "absolute or relative to the working directory, or \"\" (nothing to read)");
    return false;
  }
  spec->set_stdin(*file);
  return true;
}

bool ReadTimeout(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  const auto duration = reader.Duration(value, path, "0s", "8760h");
  if (duration.has_value()) *spec->mutable_timeout() = ToProto(*duration);
  return duration.has_value();
}

bool ReadGrace(ValueReader& reader, const Value& value, const std::string& path,
               SandboxSpec* spec) {
  const auto duration = reader.Duration(value, path, "0s", "1h");
  if (duration.has_value()) *spec->mutable_grace() = ToProto(*duration);
  return duration.has_value();
}

bool ReadStartDeadline(ValueReader& reader, const Value& value, const std::string& path,
                       SandboxSpec* spec) {
  constexpr char kForm[] =
      "allowed: RFC 3339 text such as 2030-01-31T12:00:00Z, or a number of Unix seconds from 0 "
      "to 253402300799";
  constexpr double kSecondsMax = 253402300799;  // 9999-12-31T23:59:59Z, the end of Timestamp
  absl::Time time;
  if (value.kind == Kind::kNumber && value.number >= 0 && value.number <= kSecondsMax) {
    time = absl::UnixEpoch() + absl::Seconds(value.number);
  } else if (value.kind != Kind::kText ||
             !absl::ParseTime(absl::RFC3339_full, value.text, &time, nullptr) ||
             time < absl::UnixEpoch() ||
             time > absl::FromUnixSeconds(static_cast<int64_t>(kSecondsMax))) {
    reader.Add(path, value.line, std::string("is not a time; ") + kForm);
    return false;
  }
  const int64_t nanos = absl::ToInt64Nanoseconds((time - absl::UnixEpoch()) % absl::Seconds(1));
  spec->mutable_start_deadline()->set_seconds(absl::ToUnixSeconds(time));
  spec->mutable_start_deadline()->set_nanos(static_cast<int32_t>(nanos));
  return true;
}

bool ReadReadOnlyRoot(ValueReader& reader, const Value& value, const std::string& path,
                      SandboxSpec* spec) {
  const auto boolean = reader.Bool(value, path);
  if (boolean.has_value()) spec->set_read_only_root(*boolean);
  return boolean.has_value();
}

// "SOURCE:TARGET", "SOURCE:TARGET:ro" or "SOURCE:TARGET:rw", as docker takes them.
bool ParseVolume(const std::string& text, ::boxkeeper::v1::Volume* volume) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) return false;
  std::string target = text.substr(colon + 1);
  volume->set_source(text.substr(0, colon));
  if (target.ends_with(":ro") || target.ends_with(":rw")) {
    volume->set_read_only(target.ends_with(":ro"));
    target.resize(target.size() - 3);
  }
  if (target.size() < 2 || target[0] != '/' || target.find(':') != std::string::npos) return false;
  for (const absl::string_view part : absl::StrSplit(target, '/')) {
    if (part == "." || part == "..") return false;
  }
  volume->set_target(std::move(target));
  return true;
}

bool ReadVolumes(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  constexpr size_t kVolumesMax = 64;
  const auto texts = reader.TextList(value, path, /*or_one=*/false, kVolumesMax);
  if (!texts.has_value()) return false;
  for (const std::string& text : *texts) {
    if (ParseVolume(text, spec->add_volumes())) continue;
    reader.Add(
        path, value.line,
        "allowed: texts SOURCE:TARGET, SOURCE:TARGET:ro or SOURCE:TARGET:rw, with an absolute "
        "TARGET without '.' and '..'");
    return false;
  }
  return true;
}

bool ReadOutputs(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  const auto patterns = reader.TextList(value, path, /*or_one=*/false, base::kOutputPatternsMax);
  if (!patterns.has_value()) return false;
  for (const std::string& pattern : *patterns) {
    if (const std::string why = base::CheckOutputPattern(pattern); !why.empty()) {
      reader.Add(path, value.line,
                 "a path " + why +
                     "; allowed: paths and globs of at most 1024 bytes and 32 components, none of "
                     "them '..', relative to the working directory or absolute");
      return false;
    }
    spec->add_outputs(pattern);
  }
  return true;
}

bool ReadPriority(ValueReader& reader, const Value& value, const std::string& path,
                  SandboxSpec* spec) {
  constexpr int64_t kPriorityMax = 1'000'000;
  const auto number = reader.Whole(value, path, -kPriorityMax, kPriorityMax);
  if (number.has_value()) spec->set_priority(static_cast<int32_t>(*number));
  return number.has_value();
}

bool ReadProviderOptions(ValueReader& reader, const Value& value, const std::string& path,
                         SandboxSpec* spec) {
  if (!reader.IsMap(value, path)) return false;
  *spec->mutable_provider_options() = ToStruct(value);
  return true;
}

bool ReadLogPath(ValueReader& reader, const Value& value, const std::string& path,
                 SandboxSpec* spec) {
  auto text = reader.Text(value, path, 1024);
  if (!text.has_value()) return false;
  bool good = !text->empty() && text->front() != '/' && text->back() != '/';
  for (size_t from = 0; good && from <= text->size();) {
    const size_t to = std::min(text->find('/', from), text->size());
    const std::string_view part = std::string_view(*text).substr(from, to - from);
    good = !part.empty() && part != "." && part != ".." && part.size() <= 255;
    from = to + 1;
  }
  good = good && text->rfind("_boxkeeper", 0) != 0 &&
         std::none_of(text->begin(), text->end(),
                      [](char c) { return std::iscntrl(static_cast<unsigned char>(c)) != 0; });
  if (!good) {
    reader.Add(path, value.line,
               "allowed: a relative path below logs.url, without empty, '.' or '..' parts, parts "
               "above 255 bytes and control characters, and not below _boxkeeper");
    return false;
  }
  spec->mutable_log()->set_path(*std::move(text));
  return true;
}

bool ReadLog(ValueReader& reader, const Value& value, const std::string& path, SandboxSpec* spec) {
  if (!reader.IsMap(value, path)) return false;
  bool good = true;
  for (const Value::Entry& entry : value.entries) {
    const std::string key = Join(path, entry.key);
    if (entry.key == "layout") {
      const auto layout = reader.Choice(entry.value, key, {"plain", "airflow", "metaflow"});
      if (layout.has_value()) spec->mutable_log()->set_layout(*layout);
      good = good && layout.has_value();
    } else if (entry.key == "path") {
      good = ReadLogPath(reader, entry.value, key, spec) && good;
    } else if (entry.key == "streams") {
      const auto streams = reader.TextList(entry.value, key, /*or_one=*/false, 2);
      const bool known = streams.has_value() && !streams->empty() &&
                         std::all_of(streams->begin(), streams->end(), [](const auto& stream) {
                           return stream == "stdout" || stream == "stderr";
                         });
      if (known) {
        spec->mutable_log()->mutable_streams()->Assign(streams->begin(), streams->end());
      } else if (streams.has_value()) {
        reader.Add(key, entry.value.line, "allowed: a list of stdout, stderr or both");
      }
      good = good && known;
    } else {
      reader.UnknownKey(entry, path, {"layout", "path", "streams"});
      good = false;
    }
  }
  return good;
}

constexpr int64_t kMegabytesMax = int64_t{1} << 30;  // a PiB
constexpr int64_t kPidsMax = 4'194'304;              // Linux: PID_MAX_LIMIT on 64 bits

constexpr SpecKey kKeys[] = {
    {"cpu", kAnywhere, ReadCpu},
    {"disk_mb", kAnywhere, ReadWhole<&SandboxSpec::set_disk_mb, 1, kMegabytesMax>},
    {"entrypoint", kAnywhere, nullptr},
    {"env", kAnywhere, ReadEnv},
    {"gpu", kAnywhere, ReadGpu},
    {"grace", kAnywhere, ReadGrace},
    {"image", kAnywhere, ReadTextWith<SetImage>},
    {"image_auth", kAnywhere, nullptr},
    {"keep", kAnywhere, nullptr},
    {"labels", kAnywhere, nullptr},
    {"log", kAnywhere, ReadLog},
    {"memory_mb", kAnywhere, ReadWhole<&SandboxSpec::set_memory_mb, 1, kMegabytesMax>},
    {"network", kAnywhere, ReadTextWith<SetNetwork>},
    {"outputs", kAnywhere, ReadOutputs},
    {"pids", kAnywhere, ReadWhole<&SandboxSpec::set_pids, 1, kPidsMax>},
    {"priority", kInProfile | kInOverride, ReadPriority},
    {"profile", kInOverride, ReadProfile},
    {"provider", kInProfile | kInOverride, ReadProvider},
    {"provider_options", kAnywhere, ReadProviderOptions},
    {"pull_policy", kAnywhere, nullptr},
    {"read_only_root", kAnywhere, ReadReadOnlyRoot},
    {"start_deadline", kInOverride, ReadStartDeadline},
    {"stdin", kAnywhere, ReadStdin},
    {"template", kAnywhere, ReadTextWith<SetTemplate>},
    {"timeout", kAnywhere, ReadTimeout},
    {"user", kAnywhere, ReadTextWith<SetUser>},
    {"volumes", kAnywhere, ReadVolumes},
    {"workdir", kAnywhere, ReadWorkdir},
};

const SpecKey* FindSpecKey(std::string_view name) {
  for (const SpecKey& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

unsigned Bit(SpecPlace place) {
  switch (place) {
    case SpecPlace::kProvider:
      return kInProvider;
    case SpecPlace::kProfile:
      return kInProfile;
    case SpecPlace::kOverride:
      return kInOverride;
  }
  return 0;
}

}  // namespace

bool IsSpecKey(std::string_view key) { return FindSpecKey(key) != nullptr; }

std::vector<std::string> SpecKeys(SpecPlace place) {
  std::vector<std::string> names;
  for (const SpecKey& key : kKeys) {
    if (key.read != nullptr && (key.places & Bit(place)) != 0) names.emplace_back(key.name);
  }
  return names;
}

SpecLayer DecodeSpec(const Value& map, const std::string& path, SpecPlace place,
                     std::vector<Problem>* problems) {
  SpecLayer layer;
  ValueReader reader(problems);
  if (!reader.IsMap(map, path)) return layer;
  std::set<std::string> set;
  for (const Value::Entry& entry : map.entries) {
    const std::string key_path = Join(path, entry.key);
    const SpecKey* key = FindSpecKey(entry.key);
    if (key == nullptr) {
      reader.UnknownKey(entry, path, SpecKeys(place));
    } else if (key->read == nullptr) {
      reader.Add(key_path, entry.line,
                 "not supported by this version; allowed: " + ListOf(SpecKeys(place), "and"));
    } else if ((key->places & Bit(place)) == 0) {
      reader.Add(key_path, entry.line,
                 "not allowed here; allowed: " + ListOf(SpecKeys(place), "and"));
    } else if (key->read(reader, entry.value, key_path, layer.mutable_spec())) {
      set.insert(entry.key);
    }
  }
  layer.mutable_set()->Assign(set.begin(), set.end());
  return layer;
}

std::string CheckEnvName(const std::string& name) {
  constexpr size_t kLengthMax = 256;
  const auto good = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  };
  const bool valid = !name.empty() && name.size() <= kLengthMax &&
                     std::all_of(name.begin(), name.end(), good) &&
                     (std::isalpha(static_cast<unsigned char>(name[0])) != 0 || name[0] == '_');
  if (!valid) {
    return Shown(name) +
           " is no name of a variable; allowed: [A-Za-z_][A-Za-z0-9_.-]*, at most 256 characters";
  }
  if (name.rfind("BOXKEEPER_", 0) == 0) {
    return Shown(name) + " is reserved; allowed: any name that does not start with BOXKEEPER_";
  }
  return "";
}

}  // namespace boxkeeper::config
