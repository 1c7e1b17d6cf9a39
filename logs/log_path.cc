#include "logs/log_path.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/task_key.h"
#include "base/utf8.h"

namespace boxkeeper::logs {
namespace {

constexpr std::string_view kScheme = "file://";
constexpr std::string_view kOwnFolder = "_boxkeeper";
constexpr size_t kMaxPathBytes = 1024;
constexpr size_t kMaxComponentBytes = 220;  // a file name has 255; the suffix of a piece has 26

absl::Status CheckComponent(std::string_view component) {
  if (component.empty()) return absl::InvalidArgumentError("has an empty component");
  if (component == "." || component == "..") {
    return absl::InvalidArgumentError("must not contain \".\" or \"..\" as a component");
  }
  if (component.size() > kMaxComponentBytes) {
    return absl::InvalidArgumentError("has a component of more than 220 bytes");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ParseFileUrl(std::string_view url) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("\"", std::string(url), "\": allowed is file:///ABSOLUTE/DIRECTORY"));
  if (!url.starts_with(kScheme)) return bad;
  std::string_view path = url.substr(kScheme.size());
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return bad;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

std::string DefaultLogPath(const v1::TaskKey& key, const base::TaskId& task) {
  return absl::StrCat(base::KeyPath(key), "/", task.ToString());
}

absl::Status ValidateLogPath(std::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError("must not be empty");
  if (path.size() > kMaxPathBytes) {
    return absl::InvalidArgumentError("must not be longer than 1024 bytes");
  }
  if (path.front() == '/') {
    return absl::InvalidArgumentError("must be relative to logs.url, without a leading '/'");
  }
  if (!base::IsUtf8(path)) return absl::InvalidArgumentError("must be UTF-8");
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return absl::InvalidArgumentError("must not contain control characters");
    }
  }
  std::string_view rest = path;
  for (bool first = true;; first = false) {
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (absl::Status status = CheckComponent(component); !status.ok()) return status;
    if (first && component == kOwnFolder) {
      return absl::InvalidArgumentError("must not begin with _boxkeeper, which is the daemon's");
    }
    if (slash == std::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(slash + 1);
  }
}

std::string PlainObjectName(std::string_view log_path, Stream stream) {
  return absl::StrCat(std::string(log_path), "/", std::string(StreamName(stream)));
}

std::string PlainPieceName(std::string_view log_path, Stream stream, uint64_t offset) {
  return absl::StrFormat("%s.%016d", PlainObjectName(log_path, stream), offset);
}

std::string AirflowPieceName(std::string_view log_path, int64_t generation, int64_t piece) {
  return absl::StrFormat("%s%08d", AirflowPiecePrefix(log_path, generation), piece);
}

std::string AirflowPiecePrefix(std::string_view log_path, int64_t generation) {
  return absl::StrFormat("%s.%016d.", std::string(log_path), generation);
}

std::string ExitRecordName(const base::TaskId& task) {
  return absl::StrCat(std::string(kOwnFolder), "/", task.ToString(), "/exit.json");
}

}  // namespace boxkeeper::logs
