#include "artifacts/spooled_outputs.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/hex.h"
#include "base/status_macros.h"

namespace boxkeeper::artifacts {
namespace {

constexpr size_t kObjectNameBytesMax = 100;
constexpr uint64_t kReadBytes = 1 << 20;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

std::string DataPath(const std::string& manifest_path) {
  return manifest_path + std::string(base::kOutputsDataSuffix);
}

class RangeSource final : public logs::PieceSource {
 public:
  RangeSource(std::unique_ptr<base::File> file, uint64_t offset, uint64_t size)
      : file_(std::move(file)), offset_(offset), left_(size) {}

  absl::StatusOr<std::string> Next() override {
    if (left_ == 0) return std::string();
    ASSIGN_OR_RETURN(std::string bytes, file_->ReadAt(offset_, std::min(left_, kReadBytes)));
    offset_ += bytes.size();
    // Shorter than announced: the store will say so.
    left_ = bytes.empty() ? 0 : left_ - bytes.size();
    return bytes;
  }

 private:
  const std::unique_ptr<base::File> file_;
  uint64_t offset_;
  uint64_t left_;
};

// All artifacts of a task that collected none lie in no data file.
class NothingSource final : public logs::PieceSource {
 public:
  absl::StatusOr<std::string> Next() override { return std::string(); }
};

bool IsSafe(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string ManifestPath(const std::string& spool_folder) { return spool_folder + "/outputs"; }

absl::StatusOr<std::optional<base::OutputsManifest>> ReadManifest(base::FileSystem& files,
                                                                  const std::string& path) {
  absl::StatusOr<std::string> bytes = base::ReadFile(files, path);
  if (absl::IsNotFound(bytes.status())) return std::optional<base::OutputsManifest>();
  RETURN_IF_ERROR(bytes.status());
  if (bytes->empty()) return std::optional<base::OutputsManifest>();
  std::optional<base::OutputsManifest> manifest = base::ParseOutputsManifest(*bytes);
  if (!manifest) return absl::DataLossError(absl::StrCat(path, ": damaged"));
  return manifest;
}

std::string ArtifactObject(const base::TaskId& task, size_t number, std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  if (name.size() > kObjectNameBytesMax) name.erase(0, name.size() - kObjectNameBytesMax);
  std::replace_if(name.begin(), name.end(), [](char c) { return !IsSafe(c); }, '_');
  return absl::StrFormat("_boxkeeper/%s/outputs/%08d-%s", task.ToString(), number, name);
}

std::string ManifestObject(const base::TaskId& task) {
  return absl::StrCat("_boxkeeper/", task.ToString(), "/outputs/manifest.json");
}

v1::OutputsStatus DescribeOutputs(const base::TaskId& task, const base::OutputsManifest& manifest) {
  v1::OutputsStatus outputs;
  outputs.set_collected(true);
  outputs.set_files(static_cast<int64_t>(manifest.files.size()));
  outputs.set_skipped(static_cast<int64_t>(manifest.skipped));
  if (!manifest.notes.empty()) outputs.set_message(manifest.notes[0]);
  int64_t bytes = 0;
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    const base::CollectedFile& file = manifest.files[i];
    bytes += static_cast<int64_t>(file.size);
    v1::Artifact& artifact = *outputs.add_artifacts();
    artifact.set_path(file.path);
    artifact.set_size(static_cast<int64_t>(file.size));
    artifact.set_mode(file.mode);
    artifact.set_sha256(base::HexEncode(file.sha256));
    const auto modified = static_cast<int64_t>(file.modified_unix_ns);
    artifact.mutable_modified_at()->set_seconds(modified / kNanosPerSecond);
    artifact.mutable_modified_at()->set_nanos(static_cast<int32_t>(modified % kNanosPerSecond));
    artifact.set_object(ArtifactObject(task, i, file.path));
  }
  outputs.set_bytes(bytes);
  return outputs;
}

std::string PrintOutputs(const v1::OutputsStatus& outputs) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = true;
  std::string text;
  // Fails only for what no OutputsStatus can hold.
  (void)google::protobuf::util::MessageToJsonString(outputs, &text, options);
  return text;
}

absl::StatusOr<v1::OutputsStatus> ParseOutputs(std::string_view text) {
  v1::OutputsStatus outputs;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of a newer daemon
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(std::string(text), &outputs, options);
  if (!parsed.ok()) return absl::DataLossError("the stored manifest of the outputs is damaged");
  return outputs;
}

std::function<absl::StatusOr<std::unique_ptr<logs::PieceSource>>()> OpenArtifact(
    base::FileSystem& files, const std::string& manifest_path, const base::CollectedFile& file) {
  return [&files, path = DataPath(manifest_path), offset = file.offset,
          size = file.size]() -> absl::StatusOr<std::unique_ptr<logs::PieceSource>> {
    if (size == 0) return std::make_unique<NothingSource>();
    ASSIGN_OR_RETURN(std::unique_ptr<base::File> data, files.Open(path, {}));
    return std::make_unique<RangeSource>(std::move(data), offset, size);
  };
}

}  // namespace boxkeeper::artifacts
