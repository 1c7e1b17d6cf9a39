// Unpacked images on disk.
//
//   <directory>/<digest of the manifest>/   a root file system, complete
//   <directory>/<digest>.part/              one that is being unpacked, or whose unpacking broke
//   off
#pragma once

#include <atomic>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "providers/local/images/layer.h"
#include "providers/local/images/oci_layout.h"

namespace boxkeeper::providers::local {

// Owns its directory; only one process uses it. Every function blocks; on one thread at a time.
class ImageStore {
 public:
  explicit ImageStore(std::string directory, UnpackLimits limits = {});

  // The absolute path of the image's root: a directory image's own, else where its layers are
  // unpacked, which the first call does: every layer is compared with its digest, unpacked beside,
  // synced and renamed, so that a root is complete or not there, whatever crashes. Errors are those
  // of VerifyBlob and LayerUnpacker, and leave nothing behind.
  absl::StatusOr<std::string> Prepare(const ResolvedImage& image, const std::atomic<bool>& stop);

  // Names of what there is, complete or not.
  std::set<std::string> Names() const;

  // Removes what broke off, and every image whose digest is not in `keep`.
  absl::Status RemoveOthers(const std::set<std::string>& keep);

 private:
  absl::Status Unpack(const ResolvedImage& image, const std::string& path,
                      const std::atomic<bool>& stop) const;

  const std::string directory_;
  const UnpackLimits limits_;
};

}  // namespace boxkeeper::providers::local
