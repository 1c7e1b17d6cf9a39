// --output PATH[:DIR].
#pragma once

#include <string>

namespace boxkeeper::cli {

// What to collect, and where to put it on this machine; "" = it stays there.
struct WantedOutput {
  std::string pattern;
  std::string directory;
};
// The last colon divides.
WantedOutput ParseWantedOutput(const std::string& text);

// Whether a pattern of a task's `outputs` names the artifact of this path: the same path, a glob
// that matches it, or a directory above it.
bool NamesArtifact(const std::string& pattern, const std::string& path);

}  // namespace boxkeeper::cli
