// Brings a task's outputs to this machine.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/client.h"
#include "cli/patience.h"

namespace boxkeeper::cli {

// Where an artifact lies below `directory`: its path, an absolute one without its first slash.
// kInvalidArgument: it would lie elsewhere (no daemon sends such).
absl::StatusOr<std::string> LocalPath(const std::string& directory, const std::string& path);

// Gives the artifact's bytes to `sink`, through broken connections; kDataLoss: they are not what
// its SHA-256 says. Ends with kAborted/OUTPUT_CLOSED when the sink answers false.
absl::Status CopyArtifact(Client& client, const std::string& task, const v1::Artifact& artifact,
                          Patience& patience, const std::function<bool(std::string_view)>& sink);

// Stores it at `path` with its mode, making directories: written beside and renamed, so that a file
// there is whole or as it was before.
absl::Status FetchArtifact(Client& client, const std::string& task, const v1::Artifact& artifact,
                           Patience& patience, const std::string& path);

}  // namespace boxkeeper::cli
