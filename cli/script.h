// `boxctl run SCRIPT`: the script's text and its language.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cli/console.h"

namespace boxkeeper::cli {

struct Script {
  std::string lang;  // "sh", "bash" or "python"
  std::string body;
  std::string name;  // the file's name, "script" for stdin
};

// Reads `path` ("-": stdin). `lang` wins if not empty; else the file's ending says it, else its
// first line, else it is sh.
absl::StatusOr<Script> LoadScript(const std::string& path, const std::string& lang,
                                  const Console& console);

// What follows the last '/'; the whole text if nothing does.
std::string BaseName(const std::string& path);

}  // namespace boxkeeper::cli
