// A task's outputs as they lie beside its spool, and as the API and the log store tell of them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/core/outputs_format.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "boxkeeper/v1/task.pb.h"
#include "logs/object_store.h"

namespace boxkeeper::artifacts {

// The manifest's path, given the folder of the task's spool.
std::string ManifestPath(const std::string& spool_folder);

// Nothing: none was collected, or its spool is gone. kDataLoss: damaged. Blocking.
absl::StatusOr<std::optional<base::OutputsManifest>> ReadManifest(base::FileSystem& files,
                                                                  const std::string& path);

// Names below the log store's base URL. An object's name has the file's number, which makes it
// unique, and as much of its name as is safe in any store.
//   _boxkeeper/<task id>/outputs/<number, 8 digits>-<file name>
//   _boxkeeper/<task id>/outputs/manifest.json
std::string ArtifactObject(const base::TaskId& task, size_t number, std::string_view path);
std::string ManifestObject(const base::TaskId& task);

// With every artifact, in the manifest's order.
v1::OutputsStatus DescribeOutputs(const base::TaskId& task, const base::OutputsManifest& manifest);

// The content of ManifestObject: OutputsStatus in JSON. A pure function of its argument.
std::string PrintOutputs(const v1::OutputsStatus& outputs);
// kDataLoss if `text` is not what PrintOutputs gives.
absl::StatusOr<v1::OutputsStatus> ParseOutputs(std::string_view text);

// Reads `file`'s bytes out of the data file beside the manifest. `files` outlives the sources.
std::function<absl::StatusOr<std::unique_ptr<logs::PieceSource>>()> OpenArtifact(
    base::FileSystem& files, const std::string& manifest_path, const base::CollectedFile& file);

}  // namespace boxkeeper::artifacts
