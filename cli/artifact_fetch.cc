#include "cli/artifact_fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/core/file_io.h"
#include "base/core/outputs_format.h"
#include "base/core/unique_fd.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "cli/rpc_error.h"

namespace boxkeeper::cli {
namespace {

absl::Status CannotWrite(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> LocalPath(const std::string& directory, const std::string& path) {
  if (!base::IsOutputPath(path)) {
    return absl::InvalidArgumentError("the daemon sent an artifact with an impossible path");
  }
  return absl::StrCat(directory, "/", path[0] == '/' ? path.substr(1) : path);
}

absl::Status CopyArtifact(Client& client, const std::string& task, const v1::Artifact& artifact,
                          Patience& patience, const std::function<bool(std::string_view)>& sink) {
  base::Sha256Stream hash;
  int64_t next = 0;
  bool end = false;
  bool closed = false;
  while (!end) {
    v1::ReadArtifactRequest request;
    request.mutable_task()->set_id(task);
    request.set_path(artifact.path());
    request.set_offset(next);
    absl::Status status = client.ReadArtifact(request, [&](const v1::ReadArtifactResponse& piece) {
      patience.Answered();
      if (piece.offset() != next) return false;  // not what was asked for
      next += static_cast<int64_t>(piece.data().size());
      end = piece.end();
      hash.Add(piece.data());
      closed = !sink(piece.data());
      return !closed;
    });
    if (closed) {
      return OwnError(absl::StatusCode::kAborted, "OUTPUT_CLOSED",
                      "nobody reads the output any more");
    }
    if (end) break;
    if (status.ok()) status = absl::UnavailableError("the stream closed before the artifact's end");
    if (!patience.TryAgain(status)) return status;
  }
  if (base::HexEncode(hash.Finish()) == artifact.sha256()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("'", artifact.path(), "' is not what was collected: its SHA-256 differs"));
}

absl::Status FetchArtifact(Client& client, const std::string& task, const v1::Artifact& artifact,
                           Patience& patience, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string beside = path + ".boxctl-new";
  unlink(beside.c_str());
  const base::UniqueFd file(
      open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return CannotWrite(path);
  int write_error = 0;
  absl::Status copied = CopyArtifact(client, task, artifact, patience, [&](std::string_view data) {
    write_error = base::WriteAll(file.get(), data);
    return write_error == 0;
  });
  errno = write_error;
  const bool written =
      write_error == 0 && (!copied.ok() || (fchmod(file.get(), artifact.mode() & 0777) == 0 &&
                                            rename(beside.c_str(), path.c_str()) == 0));
  if (!written) copied = CannotWrite(path);
  if (!copied.ok()) unlink(beside.c_str());
  return copied;
}

}  // namespace boxkeeper::cli
