#include "cli/wanted_output.h"

#include <fnmatch.h>

#include <vector>

#include "base/core/outputs_format.h"

namespace boxkeeper::cli {
namespace {

using Parts = std::vector<std::string>;

bool Matches(const Parts& pattern, size_t p, const Parts& path, size_t at) {
  if (p == pattern.size()) return true;  // a directory stands for all that is in it
  if (pattern[p] == "**") {
    for (size_t from = at; from < path.size(); ++from) {
      if (p + 1 == pattern.size() || Matches(pattern, p + 1, path, from)) return true;
    }
    return false;
  }
  return at < path.size() && fnmatch(pattern[p].c_str(), path[at].c_str(), FNM_PERIOD) == 0 &&
         Matches(pattern, p + 1, path, at + 1);
}

}  // namespace

WantedOutput ParseWantedOutput(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool NamesArtifact(const std::string& pattern, const std::string& path) {
  if (pattern.empty() || (pattern[0] == '/') != path.starts_with('/')) return false;
  return Matches(base::SplitOutputPattern(pattern), 0, base::SplitOutputPattern(path), 0);
}

}  // namespace boxkeeper::cli
