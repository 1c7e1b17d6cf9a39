#include "logs/s3/profile_files.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::s3 {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

std::string Stripped(const std::string& text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

// The profile of a section's header; nullopt for a section that is none.
std::optional<std::string> ProfileOf(const std::string& header, bool is_config_file) {
  if (!is_config_file || header == "default") return header;
  constexpr char kPrefix[] = "profile";
  const size_t prefix = sizeof(kPrefix) - 1;
  if (header.compare(0, prefix, kPrefix) != 0 || header.size() <= prefix ||
      !absl::ascii_isspace(header[prefix])) {
    return std::nullopt;
  }
  return Stripped(header.substr(prefix));
}

std::string WithoutComment(const std::string& value) {
  for (size_t at = 1; at < value.size(); ++at) {
    const bool begins = value[at] == '#' || value[at] == ';';
    if (begins && absl::ascii_isspace(value[at - 1])) return Stripped(value.substr(0, at));
  }
  return value;
}

absl::StatusOr<Profiles> Load(base::FileSystem& files, const std::string& path,
                              bool is_config_file) {
  if (path.empty()) return Profiles();
  auto file = files.Open(path, {});
  if (absl::IsNotFound(file.status())) return Profiles();
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(const std::string text, (*file)->ReadAt(0, kFileBytesMax));
  return ParseProfiles(text, is_config_file);
}

std::string PathOf(const remote::Environment& environment, const char* variable, const char* name) {
  if (std::string path = environment(variable); !path.empty()) return path;
  const std::string home = environment("HOME");
  return home.empty() ? "" : absl::StrCat(home, "/.aws/", name);
}

}  // namespace

Profiles ParseProfiles(const std::string& text, bool is_config_file) {
  Profiles profiles;
  Profile* current = nullptr;
  for (const absl::string_view piece : absl::StrSplit(text, '\n')) {
    const std::string line(piece);
    const std::string content = Stripped(line);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content[0] == '[') {
      const std::string header = Stripped(content.substr(1, content.find(']') - 1));
      const auto name = ProfileOf(header, is_config_file);
      current = name ? &profiles[*name] : nullptr;
      continue;
    }
    const size_t equals = content.find('=');
    if (current == nullptr || absl::ascii_isspace(line[0]) || equals == std::string::npos) continue;
    const std::string key = absl::AsciiStrToLower(Stripped(content.substr(0, equals)));
    (*current)[key] = WithoutComment(Stripped(content.substr(equals + 1)));
  }
  return profiles;
}

absl::StatusOr<std::optional<Profile>> LoadProfile(base::FileSystem& files,
                                                   const remote::Environment& environment,
                                                   const std::string& name) {
  ASSIGN_OR_RETURN(
      Profiles keys,
      Load(files, PathOf(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials"), false));
  ASSIGN_OR_RETURN(const Profiles settings,
                   Load(files, PathOf(environment, "AWS_CONFIG_FILE", "config"), true));
  const auto in_keys = keys.find(name);
  const auto in_settings = settings.find(name);
  if (in_keys == keys.end() && in_settings == settings.end()) return std::optional<Profile>();
  Profile profile = in_keys == keys.end() ? Profile() : std::move(in_keys->second);
  if (in_settings != settings.end()) {
    profile.insert(in_settings->second.begin(), in_settings->second.end());
  }
  return std::optional<Profile>(std::move(profile));
}

std::string ProfileName(const remote::Environment& environment, const std::string& configured) {
  if (!configured.empty()) return configured;
  const std::string name = environment("AWS_PROFILE");
  return name.empty() ? "default" : name;
}

}  // namespace boxkeeper::logs::s3
