// ~/.aws/credentials and ~/.aws/config.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/remote/environment.h"

namespace boxkeeper::logs::s3 {

using Profile = std::map<std::string, std::string>;  // keys in lower case
using Profiles = std::map<std::string, Profile>;

// "[name]" and "key = value" lines; '#' and ';' begin comment lines (and " #" in a value). In a
// config file the sections are "[default]" and "[profile NAME]", others (sso-session, services) are
// left out. Indented lines belong to a nested setting and are left out. Never fails: what it does
// not know is skipped.
Profiles ParseProfiles(const std::string& text, bool is_config_file);

// The profile's settings of both files, those of the credentials file first; nullopt if neither has
// it. Files that are not there are empty; others that cannot be read are an error that does not
// repeat what is in them. Blocking.
absl::StatusOr<std::optional<Profile>> LoadProfile(base::FileSystem& files,
                                                   const remote::Environment& environment,
                                                   const std::string& name);

// `configured`, else AWS_PROFILE, else "default".
std::string ProfileName(const remote::Environment& environment, const std::string& configured);

}  // namespace boxkeeper::logs::s3
