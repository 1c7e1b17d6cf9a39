#include "cli/script.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/files.h"

namespace boxkeeper::cli {
namespace {

std::string DetectLang(const std::string& path, const std::string& body) {
  if (absl::EndsWith(path, ".py")) return "python";
  if (absl::EndsWith(path, ".bash")) return "bash";
  if (absl::EndsWith(path, ".sh")) return "sh";
  if (body.rfind("#!", 0) == 0) {
    const std::string first = body.substr(0, body.find('\n'));
    if (absl::StrContains(first, "python")) return "python";
    if (absl::StrContains(first, "bash")) return "bash";
  }
  return "sh";
}

}  // namespace

absl::StatusOr<Script> LoadScript(const std::string& path, const std::string& lang,
                                  const Console& console) {
  Script script;
  if (path == "-") {
    script.body = console.read_stdin();
    script.name = "script";
  } else {
    auto body = ReadLocalFile(path);
    if (!body.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(body.status().message()),
                       " (a script's path is expected here; "
                       "to run a program write: boxctl run -- PROGRAM ARG...)"));
    }
    script.body = *std::move(body);
    script.name = BaseName(path);
  }
  script.lang = lang.empty() ? DetectLang(path, script.body) : lang;
  return script;
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) return path;
  return path.substr(slash + 1);
}

}  // namespace boxkeeper::cli
