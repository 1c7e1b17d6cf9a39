// Reads what an image's path in the configuration means: a directory, or an OCI image layout.
//
// Layout (image-spec 1.0): `oci-layout`, `index.json` (manifests by platform and tag, possibly
// nested), `blobs/sha256/<hex>` (manifests, configurations, layers). Everything but the index is
// named by its digest and is verified against it before it is used.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace boxkeeper::providers::local {

// The defaults that an image brings for what runs in it.
struct ImageDefaults {
  std::vector<std::pair<std::string, std::string>> env;
  std::string workdir;  // absolute; "" = none (also where the image says "/")
};

struct LayerBlob {
  std::string path;    // of the blob
  std::string digest;  // 64 hex digits
  int64_t bytes = 0;
};

struct ResolvedImage {
  // 64 hex digits of the manifest; "" for a directory, which is used where it lies.
  std::string digest;
  std::string directory;          // of a directory image
  std::vector<LayerBlob> layers;  // of a layout, lowest first
  ImageDefaults defaults;
};

// Resolves `reference`: DIRECTORY, LAYOUT, LAYOUT:TAG or LAYOUT@sha256:HEX. Of several platforms
// linux/amd64 is taken. kNotFound: nothing there, or no such tag, digest or platform;
// kInvalidArgument: there is something that is no image; kDataLoss: a digest does not match.
// Blocking; reads a few small files.
absl::StatusOr<ResolvedImage> ResolveImage(const std::string& reference);

// Compares a blob with its digest. kDataLoss where they differ. Blocking; reads all of it, unless
// `stop` is set: kCancelled.
absl::Status VerifyBlob(const LayerBlob& blob, const std::atomic<bool>& stop);

}  // namespace boxkeeper::providers::local
