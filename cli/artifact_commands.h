// Commands about a task's outputs.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/session.h"
#include "cli/wanted_output.h"

namespace boxkeeper::cli {

struct ArtifactsFlags {
  std::string action;  // "ls" or "get"
  std::string ref;
  std::vector<std::string> paths;  // or globs; none = all
  std::string directory = ".";     // of get; "-" = stdout
};
int Artifacts(Session& session, const ArtifactsFlags& flags);

// Fetches what is wanted here. kNotFound: one of them has nothing.
absl::Status FetchOutputs(Session& session, const std::string& id,
                          const std::vector<WantedOutput>& wanted);

}  // namespace boxkeeper::cli
