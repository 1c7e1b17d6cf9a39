#include "providers/local/images/oci_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/core/file_io.h"
#include "base/core/unique_fd.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::local {
namespace {

namespace json = boost::json;

constexpr size_t kJsonBytesMax = 4 << 20;
constexpr size_t kLayersMax = 512;
constexpr int kIndexDepthMax = 4;
constexpr char kRefName[] = "org.opencontainers.image.ref.name";

struct Reference {
  std::string path;
  std::string tag;     // "" = none
  std::string digest;  // 64 hex digits; "" = none
};

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool IsHexDigest(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The hex digits of "sha256:HEX"; nothing for another algorithm or another form.
std::optional<std::string> HexOf(const std::string& digest) {
  constexpr char kPrefix[] = "sha256:";
  if (digest.rfind(kPrefix, 0) != 0) return std::nullopt;
  std::string hex = digest.substr(sizeof(kPrefix) - 1);
  if (!IsHexDigest(hex)) return std::nullopt;
  return hex;
}

// A directory of exactly that name wins over a tag or digest in it.
absl::StatusOr<Reference> ParseReference(const std::string& text) {
  if (IsDirectory(text)) return Reference{text, "", ""};
  if (const size_t at = text.rfind('@');
      at != std::string::npos && IsDirectory(text.substr(0, at))) {
    auto hex = HexOf(text.substr(at + 1));
    if (hex.has_value()) return Reference{text.substr(0, at), "", *std::move(hex)};
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "': what follows '@' must be sha256: and 64 hex digits"));
  }
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && colon > text.rfind('/') && colon + 1 < text.size() &&
      IsDirectory(text.substr(0, colon))) {
    return Reference{text.substr(0, colon), text.substr(colon + 1), ""};
  }
  return absl::NotFoundError(absl::StrCat("'", text, "': no such directory"));
}

absl::StatusOr<std::string> ReadSmall(const std::string& path) {
  std::string bytes;
  const int error = base::ReadFileAt(AT_FDCWD, path, kJsonBytesMax, &bytes);
  if (error == 0) return bytes;
  const std::string text = absl::StrCat(path, ": ", strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(text);
  return error == EFBIG ? absl::InvalidArgumentError(text) : absl::PermissionDeniedError(text);
}

absl::StatusOr<json::object> ParseObject(const std::string& bytes, const std::string& what) {
  boost::system::error_code error;
  json::value value = json::parse(bytes, error);
  if (!error && value.is_object()) return std::move(value.as_object());
  return absl::InvalidArgumentError(absl::StrCat(what, " is not a JSON object"));
}

std::string TextOf(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

const json::object* ObjectOf(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

const json::array* ArrayOf(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

// Where the blob of a descriptor lies, with its digest and size.
absl::StatusOr<LayerBlob> BlobOf(const std::string& layout, const json::object& descriptor) {
  const std::string digest = TextOf(descriptor, "digest");
  const auto hex = HexOf(digest);
  if (!hex.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(layout, ": '", digest, "' is not a sha256 digest"));
  }
  const json::value* size = descriptor.if_contains("size");
  if (size == nullptr || !size->is_int64() || size->as_int64() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(layout, ": ", digest, " has no size"));
  }
  return LayerBlob{absl::StrCat(layout, "/blobs/sha256/", *hex), *hex, size->as_int64()};
}

absl::StatusOr<json::object> ReadJsonBlob(const LayerBlob& blob) {
  ASSIGN_OR_RETURN(std::string bytes, ReadSmall(blob.path));
  if (base::HexEncode(base::Sha256(bytes)) != blob.digest) {
    return absl::DataLossError(absl::StrCat(blob.path, ": its content has another digest"));
  }
  return ParseObject(bytes, blob.path);
}

bool IsOurPlatform(const json::object& descriptor) {
  const json::object* platform = ObjectOf(descriptor, "platform");
  if (platform == nullptr) return true;
  return TextOf(*platform, "os") == "linux" && TextOf(*platform, "architecture") == "amd64";
}

bool IsIndex(const json::object& descriptor) {
  const std::string type = TextOf(descriptor, "mediaType");
  return type == "application/vnd.oci.image.index.v1+json" ||
         type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

std::string TagOf(const json::object& descriptor) {
  const json::object* annotations = ObjectOf(descriptor, "annotations");
  return annotations != nullptr ? TextOf(*annotations, kRefName) : "";
}

bool Matches(const json::object& descriptor, const Reference& reference) {
  if (!reference.digest.empty()) {
    return TextOf(descriptor, "digest") == absl::StrCat("sha256:", reference.digest);
  }
  if (!reference.tag.empty()) return TagOf(descriptor) == reference.tag;
  return IsOurPlatform(descriptor);
}

// The one manifest of `index` that the reference means.
absl::StatusOr<json::object> Choose(const json::object& index, const Reference& reference) {
  const json::array* manifests = ArrayOf(index, "manifests");
  if (manifests == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(reference.path, ": its index has no manifests"));
  }
  std::vector<const json::object*> chosen;
  std::vector<std::string> tags;
  for (const json::value& value : *manifests) {
    const json::object* descriptor = value.if_object();
    if (descriptor == nullptr) continue;
    if (const std::string tag = TagOf(*descriptor); !tag.empty()) tags.push_back(tag);
    if (Matches(*descriptor, reference)) chosen.push_back(descriptor);
  }
  // One tag may stand at a manifest for each platform.
  if (chosen.size() > 1) std::erase_if(chosen, [](const auto* d) { return !IsOurPlatform(*d); });
  if (chosen.size() == 1) return *chosen[0];
  const std::string choice =
      tags.empty() ? "" : absl::StrCat("; its tags: ", absl::StrJoin(tags, ", "));
  if (!chosen.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        reference.path, " holds several images: name one by :TAG or @sha256:DIGEST", choice));
  }
  const std::string asked = !reference.digest.empty() ? absl::StrCat("@sha256:", reference.digest)
                            : !reference.tag.empty()  ? absl::StrCat(":", reference.tag)
                                                      : " for linux/amd64";
  return absl::NotFoundError(absl::StrCat(reference.path, " holds no image ", asked, choice));
}

absl::StatusOr<ImageDefaults> ReadDefaults(const std::string& layout,
                                           const json::object& manifest) {
  const json::object* descriptor = ObjectOf(manifest, "config");
  if (descriptor == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(layout, ": a manifest without config"));
  }
  ASSIGN_OR_RETURN(LayerBlob blob, BlobOf(layout, *descriptor));
  ASSIGN_OR_RETURN(json::object image, ReadJsonBlob(blob));
  if (!IsOurPlatform(json::object{{"platform", image}})) {
    return absl::NotFoundError(absl::StrCat(layout, ": the image is for ", TextOf(image, "os"), "/",
                                            TextOf(image, "architecture"), ", not linux/amd64"));
  }
  ImageDefaults defaults;
  const json::object* config = ObjectOf(image, "config");
  if (config == nullptr) return defaults;
  if (const json::array* variables = ArrayOf(*config, "Env")) {
    for (const json::value& variable : *variables) {
      const std::string text = variable.is_string() ? std::string(variable.as_string()) : "";
      const size_t equals = text.find('=');
      if (equals == 0 || equals == std::string::npos || text.find('\0') != std::string::npos) {
        return absl::InvalidArgumentError(
            absl::StrCat(layout, ": a variable of the image's Env is not NAME=VALUE"));
      }
      defaults.env.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  defaults.workdir = TextOf(*config, "WorkingDir");
  if (defaults.workdir == "/") defaults.workdir.clear();
  if (!defaults.workdir.empty() &&
      (defaults.workdir[0] != '/' || defaults.workdir.find('\0') != std::string::npos)) {
    return absl::InvalidArgumentError(
        absl::StrCat(layout, ": the image's WorkingDir is not an absolute path"));
  }
  return defaults;
}

absl::StatusOr<ResolvedImage> ReadManifest(const std::string& layout, const LayerBlob& blob,
                                           const json::object& manifest) {
  ResolvedImage image;
  image.digest = blob.digest;
  const json::array* layers = ArrayOf(manifest, "layers");
  if (layers == nullptr || layers->empty() || layers->size() > kLayersMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(blob.path, ": an image has 1 to ", kLayersMax, " layers"));
  }
  for (const json::value& value : *layers) {
    const json::object* descriptor = value.if_object();
    if (descriptor == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(blob.path, ": a layer is not an object"));
    }
    ASSIGN_OR_RETURN(LayerBlob layer, BlobOf(layout, *descriptor));
    struct stat status;
    if (stat(layer.path.c_str(), &status) != 0) {
      return absl::NotFoundError(absl::StrCat(layer.path, ": ", strerror(errno)));
    }
    if (status.st_size != layer.bytes) {
      return absl::DataLossError(
          absl::StrCat(layer.path, " has ", status.st_size, " bytes instead of ", layer.bytes));
    }
    image.layers.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(image.defaults, ReadDefaults(layout, manifest));
  return image;
}

absl::StatusOr<ResolvedImage> ResolveLayout(Reference reference) {
  ASSIGN_OR_RETURN(std::string bytes, ReadSmall(reference.path + "/index.json"));
  ASSIGN_OR_RETURN(json::object index, ParseObject(bytes, reference.path + "/index.json"));
  const std::string layout = reference.path;
  for (int depth = 0; depth < kIndexDepthMax; ++depth) {
    ASSIGN_OR_RETURN(json::object descriptor, Choose(index, reference));
    ASSIGN_OR_RETURN(LayerBlob blob, BlobOf(layout, descriptor));
    ASSIGN_OR_RETURN(json::object content, ReadJsonBlob(blob));
    if (!IsIndex(descriptor)) return ReadManifest(layout, blob, content);
    // Below, only the platform still has to be chosen.
    reference.tag.clear();
    reference.digest.clear();
    index = std::move(content);
  }
  return absl::InvalidArgumentError(absl::StrCat(layout, ": its indexes are nested too deep"));
}

}  // namespace

absl::StatusOr<ResolvedImage> ResolveImage(const std::string& text) {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(text));
  struct stat status;
  if (stat((reference.path + "/oci-layout").c_str(), &status) == 0) {
    return ResolveLayout(std::move(reference));
  }
  if (!reference.tag.empty() || !reference.digest.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", reference.path, "' is no OCI layout (it has no oci-layout): only those have tags"));
  }
  if (access(reference.path.c_str(), R_OK | X_OK) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(reference.path, ": ", strerror(errno)));
  }
  ResolvedImage image;
  image.directory = reference.path;
  return image;
}

absl::Status VerifyBlob(const LayerBlob& blob, const std::atomic<bool>& stop) {
  const base::UniqueFd file(open(blob.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return absl::NotFoundError(absl::StrCat(blob.path, ": ", strerror(errno)));
  base::Sha256Stream hash;
  std::string buffer(1 << 18, '\0');
  for (;;) {
    const ssize_t got = read(file.get(), buffer.data(), buffer.size());
    if (stop.load(std::memory_order_relaxed)) return absl::CancelledError("the daemon stops");
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::DataLossError(absl::StrCat(blob.path, ": ", strerror(errno)));
    if (got == 0) break;
    hash.Add({buffer.data(), static_cast<size_t>(got)});
  }
  if (base::HexEncode(hash.Finish()) == blob.digest) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(blob.path, ": its content has another digest"));
}

}  // namespace boxkeeper::providers::local
