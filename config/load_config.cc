#include "config/load_config.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "config/check_config.h"
#include "config/read_value.h"
#include "config/schema.h"
#include "config/section_decoder.h"
#include "config/spec_decoder.h"
#include "config/yaml_value.h"

namespace boxkeeper::config {
namespace {

using Problems = std::vector<Problem>;

std::string DefaultStateDir(const LoadOptions& options) {
  const auto get = [&options](const char* name) -> std::string {
    const char* value = options.getenv ? options.getenv(name) : std::getenv(name);
    return value == nullptr ? "" : value;
  };
  // systemd sets a list separated by ':' where a unit has several state directories.
  if (std::string dir = get("STATE_DIRECTORY"); !dir.empty()) return dir.substr(0, dir.find(':'));
  if (std::string dir = get("XDG_STATE_HOME"); !dir.empty()) return dir + "/boxkeeper";
  if (std::string dir = get("HOME"); !dir.empty()) return dir + "/.local/state/boxkeeper";
  return "";
}

// The line of `path` ("a.b[2].c") in the file, or of the nearest thing around it.
int LineOf(const Value& root, const std::string& path) {
  const Value* value = &root;
  int line = std::max(1, root.line);
  for (size_t at = 0; at < path.size();) {
    if (path[at] == '[') {
      const size_t index = std::strtoul(path.c_str() + at + 1, nullptr, 10);
      if (index >= value->items.size()) return line;
      value = &value->items[index];
      line = value->line;
      at = std::min(path.find(']', at), path.size() - 1) + 1;
      continue;
    }
    if (path[at] == '.') ++at;
    const size_t end = std::min(path.find_first_of(".[", at), path.size());
    const Value* next = nullptr;
    for (const Value::Entry& entry : value->entries) {
      if (entry.key != path.substr(at, end - at)) continue;
      next = &entry.value;
      line = entry.line;
    }
    if (next == nullptr) return line;
    value = next;
    at = end;
  }
  return line;
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
}

// False after a problem: what stands below such a key has no path that could be told.
bool CheckName(const Value::Entry& entry, const std::string& path, bool auto_is_taken,
               ValueReader& reader) {
  if (IsName(entry.key) && !(auto_is_taken && entry.key == "auto")) return true;
  reader.Add(path, entry.line,
             Shown(entry.key) + " is no name; allowed: 1 to 63 characters of [A-Za-z0-9_-]" +
                 (auto_is_taken ? ", but not auto" : ""));
  return false;
}

// One line of at most kLineBytesMax, whatever the file's keys and values are.
std::string OneLine(std::string text) {
  constexpr size_t kLineBytesMax = 2048;
  if (text.size() > kLineBytesMax) {
    text.resize(kLineBytesMax);
    for (int i = 0; i < 3 && !base::IsUtf8(text); ++i) text.pop_back();  // a character cut there
    text += "...";
  }
  for (char& c : text) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '?';
  }
  return text;
}

class Loader {
 public:
  Loader(const LoadOptions& options, LoadResult* result)
      : options_(options), result_(result), reader_(&result->problems) {}

  void Load(const Value& root) {
    v1::Config& config = result_->config;
    DecodeSection(root, "", "", /*ignore_unknown=*/false, &config, &result_->problems);
    if (root.Find("state_dir") == nullptr) config.set_state_dir(DefaultStateDir(options_));
    DecodeProviders(root.Find("providers"));
    if (config.default_provider().empty() && config.providers_size() > 0) {
      config.set_default_provider(config.providers(0).name());
    }
    if (const Value* profiles = root.Find("profiles")) DecodeProfiles(*profiles);
    Problems further;
    ResolvePaths(&config, &further);
    CheckConfig(config, options_.check_files, &further);
    AddUnlessKnown(std::move(further));
    for (Problem& problem : result_->problems) {
      if (problem.line == 0) problem.line = LineOf(root, problem.key);
    }
  }

 private:
  // A key that could not be read is no ground for complaints about what it would have meant.
  void AddUnlessKnown(Problems further) {
    const Problems known = result_->problems;
    for (Problem& problem : further) {
      const bool follows = std::any_of(known.begin(), known.end(), [&problem](const Problem& one) {
        return one.key.empty() || problem.key == one.key ||
               problem.key.rfind(one.key + ".", 0) == 0;
      });
      if (!follows) result_->problems.push_back(std::move(problem));
    }
  }

  void DecodeProviders(const Value* providers) {
    if (providers == nullptr || providers->kind == Value::Kind::kNull) {
      Value::Entry local{.key = "local", .line = 0, .value = {}};
      local.value.kind = Value::Kind::kMap;
      Value type;
      type.kind = Value::Kind::kText;
      type.text = "local";
      local.value.entries.push_back({.key = "type", .line = 0, .value = type});
      DecodeProvider(local);
      return;
    }
    if (!reader_.IsMap(*providers, "providers")) return;
    if (providers->entries.empty()) {
      reader_.Add("providers", providers->line, "is empty; allowed: at least one provider");
    }
    for (const Value::Entry& entry : providers->entries) {
      if (CheckName(entry, "providers", /*auto_is_taken=*/true, reader_)) DecodeProvider(entry);
    }
  }

  void DecodeProvider(const Value::Entry& entry) {
    const std::string path = Join("providers", entry.key);
    if (!reader_.IsMap(entry.value, path)) return;
    v1::Provider* provider = result_->config.add_providers();
    provider->set_name(entry.key);
    DecodeSection(entry.value, "providers.*", path, /*ignore_unknown=*/true, provider,
                  &result_->problems);
    const std::vector<std::string> common = KeysBelow("providers.*");
    Value spec;
    spec.kind = Value::Kind::kMap;
    Value options = spec;
    for (const Value::Entry& key : entry.value.entries) {
      if (std::find(common.begin(), common.end(), key.key) != common.end()) continue;
      (IsSpecKey(key.key) ? spec : options).entries.push_back(key);
    }
    *provider->mutable_spec() = DecodeSpec(spec, path, SpecPlace::kProvider, &result_->problems);
    *provider->mutable_options() = ToStruct(options);
    ValidateOptions(*provider, path);
  }

  void ValidateOptions(const v1::Provider& provider, const std::string& path) {
    std::vector<std::string> types;
    types.reserve(options_.providers.size());
    for (const auto& [type, validator] : options_.providers) types.push_back(type);
    const auto found = options_.providers.find(provider.type());
    if (found == options_.providers.end()) {
      reader_.Add(
          Join(path, "type"), 0,
          (provider.type().empty() ? std::string("is missing")
                                   : Shown(provider.type()) + " is not supported by this version") +
              "; allowed: " + ListOf(types));
      return;
    }
    if (!found->second) return;
    for (Problem& problem : found->second(provider.name(), provider.type(), provider.options())) {
      problem.key = Join(path, problem.key);
      problem.line = 0;
      result_->problems.push_back(std::move(problem));
    }
  }

  void DecodeProfiles(const Value& profiles) {
    if (profiles.kind == Value::Kind::kNull || !reader_.IsMap(profiles, "profiles")) return;
    for (const Value::Entry& entry : profiles.entries) {
      if (!CheckName(entry, "profiles", /*auto_is_taken=*/false, reader_)) continue;
      (*result_->config.mutable_profiles())[entry.key] = DecodeSpec(
          entry.value, Join("profiles", entry.key), SpecPlace::kProfile, &result_->problems);
    }
  }

  const LoadOptions& options_;
  LoadResult* result_;
  ValueReader reader_;
};

LoadResult OneMistake(const std::string& file, std::string message) {
  LoadResult result;
  result.file = file;
  result.problems.push_back({.key = "", .message = std::move(message), .line = 1});
  return result;
}

}  // namespace

std::vector<std::string> LoadResult::Messages() const {
  std::vector<std::string> messages;
  messages.reserve(problems.size());
  for (const Problem& problem : problems) {
    messages.push_back(
        OneLine(absl::StrCat(file, ":", problem.line, ": ",
                             problem.key.empty() ? "" : problem.key + ": ", problem.message)));
  }
  return messages;
}

LoadResult LoadConfig(const std::string& path, const LoadOptions& options) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kYamlBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || (file.fail() && !file.eof())) {
    return OneMistake(path, absl::StrCat("cannot read the file: ", std::strerror(errno)));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return LoadConfigText(text, path, options);
}

LoadResult LoadConfigText(const std::string& text, const std::string& file,
                          const LoadOptions& options) {
  LoadResult result;
  result.file = file;
  const Value root = ParseYaml(text, &result.problems);
  // Malformed YAML: what was read is no basis for further complaints.
  const bool readable = std::none_of(result.problems.begin(), result.problems.end(),
                                     [](const Problem& problem) { return problem.key.empty(); });
  if (readable) Loader(options, &result).Load(root);
  const auto place = [](const Problem& problem) { return std::tie(problem.line, problem.key); };
  std::sort(result.problems.begin(), result.problems.end(),
            [&](const Problem& a, const Problem& b) {
              return std::tuple(place(a), a.message) < std::tuple(place(b), b.message);
            });
  // One mistake a key and line: a value that is already known to be bad may also be of a wrong
  // type.
  const auto same = [&](const Problem& a, const Problem& b) { return place(a) == place(b); };
  result.problems.erase(std::unique(result.problems.begin(), result.problems.end(), same),
                        result.problems.end());
  return result;
}

LoadResult EmbeddedDefaults(const LoadOptions& options) {
  return LoadConfigText("providers: {local: {type: local, isolation: auto, allow_degraded: true}}",
                        "<embedded defaults>", options);
}

}  // namespace boxkeeper::config
