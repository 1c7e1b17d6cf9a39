#include "artifacts/artifact_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "artifacts/spooled_outputs.h"
#include "base/core/outputs_format.h"
#include "base/run_on.h"
#include "base/status_macros.h"

namespace boxkeeper::artifacts {

using boost::asio::awaitable;

namespace {

// Of 10 000 files with long names.
constexpr size_t kManifestBytesMax = 64 << 20;

// Nothing: the spool has no outputs (any more).
absl::StatusOr<std::optional<std::string>> ReadSpooled(base::FileSystem& files,
                                                       const ArtifactSource& source,
                                                       const std::string& path, uint64_t offset,
                                                       size_t bytes_max) {
  ASSIGN_OR_RETURN(const std::optional<base::OutputsManifest> manifest,
                   ReadManifest(files, source.manifest_path));
  if (!manifest) return std::optional<std::string>();
  const auto found =
      std::find_if(manifest->files.begin(), manifest->files.end(),
                   [&](const base::CollectedFile& file) { return file.path == path; });
  if (found == manifest->files.end()) return absl::NotFoundError("no such artifact");
  if (offset >= found->size) return std::optional<std::string>(std::string());
  auto data = files.Open(source.manifest_path + std::string(base::kOutputsDataSuffix), {});
  if (absl::IsNotFound(data.status())) return std::optional<std::string>();
  RETURN_IF_ERROR(data.status());
  const size_t wanted = std::min<uint64_t>(bytes_max, found->size - offset);
  ASSIGN_OR_RETURN(std::string bytes, (*data)->ReadAt(found->offset + offset, wanted));
  if (bytes.size() < wanted)
    return absl::DataLossError("the spooled artifact is shorter than it was");
  return std::optional<std::string>(std::move(bytes));
}

}  // namespace

awaitable<absl::StatusOr<v1::OutputsStatus>> ArtifactReader::List(ArtifactSource source) {
  auto read = [files = &deps_.files, path = source.manifest_path] {
    return ReadManifest(*files, path);
  };
  auto manifest = co_await base::RunOn(deps_.pool, std::move(read));
  if (!manifest.ok()) co_return manifest.status();
  if (manifest->has_value()) {
    v1::OutputsStatus outputs = DescribeOutputs(source.task, **manifest);
    if (!source.stored) {
      for (v1::Artifact& artifact : *outputs.mutable_artifacts()) artifact.clear_object();
    }
    co_return outputs;
  }
  if (!source.stored) co_return absl::NotFoundError("nothing was collected");
  absl::StatusOr<std::string> text =
      co_await deps_.store.Read(ManifestObject(source.task), 0, kManifestBytesMax);
  if (!text.ok()) co_return text.status();
  co_return ParseOutputs(*text);
}

awaitable<absl::StatusOr<std::string>> ArtifactReader::Read(ArtifactSource source,
                                                            v1::Artifact artifact, uint64_t offset,
                                                            size_t bytes_max) {
  auto read = [files = &deps_.files, source, path = artifact.path(), offset, bytes_max] {
    return ReadSpooled(*files, source, path, offset, bytes_max);
  };
  auto spooled = co_await base::RunOn(deps_.pool, std::move(read));
  if (!spooled.ok()) co_return spooled.status();
  if (spooled->has_value()) co_return **std::move(spooled);
  if (!source.stored) co_return absl::NotFoundError("its spool is gone");
  const auto size = static_cast<uint64_t>(artifact.size());
  if (offset >= size) co_return std::string();
  const size_t wanted = std::min<uint64_t>(bytes_max, size - offset);
  absl::StatusOr<std::string> bytes = co_await deps_.store.Read(artifact.object(), offset, wanted);
  if (bytes.ok() && bytes->empty()) {
    co_return absl::DataLossError("the stored artifact is shorter than it was");
  }
  co_return bytes;
}

}  // namespace boxkeeper::artifacts
