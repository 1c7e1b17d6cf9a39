#include "cli/local_blob.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace boxkeeper::cli {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

}  // namespace

absl::StatusOr<LocalBlob> BlobOfFile(const std::string& path) {
  LocalBlob blob{.path = path, .content = {}, .sha256 = {}, .size = 0};
  BlobSource source(blob);
  base::Sha256Stream sum;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string piece, source.Next());
    if (piece.empty()) break;
    sum.Add(piece);
    blob.size += static_cast<int64_t>(piece.size());
  }
  blob.sha256 = base::HexEncode(sum.Finish());
  return blob;
}

LocalBlob BlobOfContent(std::string content) {
  LocalBlob blob;
  blob.sha256 = base::HexEncode(base::Sha256(content));
  blob.size = static_cast<int64_t>(content.size());
  blob.content = std::move(content);
  return blob;
}

BlobSource::BlobSource(const LocalBlob& blob) : blob_(blob) {
  if (!blob.path.empty()) file_.open(blob.path, std::ios::binary);
}

absl::StatusOr<std::string> BlobSource::Next() {
  if (blob_.path.empty()) {
    std::string piece = blob_.content.substr(std::min(offset_, blob_.content.size()), kPieceBytes);
    offset_ += piece.size();
    return piece;
  }
  std::string piece(kPieceBytes, '\0');
  file_.read(piece.data(), static_cast<std::streamsize>(piece.size()));
  piece.resize(static_cast<size_t>(std::max<std::streamsize>(0, file_.gcount())));
  if (file_.bad() || !file_.is_open()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read '", blob_.path, "': ", std::strerror(errno)));
  }
  return piece;
}

}  // namespace boxkeeper::cli
