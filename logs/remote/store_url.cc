#include "logs/remote/store_url.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::remote {
namespace {

constexpr size_t kBucketBytesMax = 222;  // Google's, of names with dots; Amazon's and Azure's: 63
constexpr size_t kKeyBytesMax = 1024;    // the limit of S3, GCS and Azure

bool IsBucketName(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '$';
  };
  return !name.empty() && name.size() <= kBucketBytesMax && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), good);
}

bool AreComponents(std::string_view path) {
  for (;;) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    for (const char c : component) {
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return false;
    }
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

absl::StatusOr<StoreUrl> ParseStoreUrl(std::string_view scheme, std::string_view url) {
  const std::string start = absl::StrCat(std::string(scheme), "://");
  const std::string form = start + "BUCKET[/PREFIX]";
  if (!url.starts_with(start)) return absl::InvalidArgumentError("must be " + form);
  std::string_view rest = url.substr(start.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  StoreUrl parsed;
  parsed.bucket = std::string(rest.substr(0, slash));
  rest.remove_prefix(slash);
  if (rest.starts_with('/')) rest.remove_prefix(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (!IsBucketName(parsed.bucket)) {
    return absl::InvalidArgumentError("has no good bucket name; must be " + form);
  }
  parsed.text = start + parsed.bucket;
  if (rest.empty()) return parsed;
  if (!AreComponents(rest) || rest.size() > kKeyBytesMax / 2) {
    return absl::InvalidArgumentError(
        "has a prefix that is too long, or with components that are empty, '.' or '..'; must be " +
        form);
  }
  parsed.prefix = std::string(rest) + "/";
  absl::StrAppend(&parsed.text, "/", std::string(rest));
  return parsed;
}

absl::Status CheckObjectName(const StoreUrl& url, std::string_view name) {
  if (AreComponents(name) && url.prefix.size() + name.size() <= kKeyBytesMax) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("bad object name ", std::string(name)));
}

}  // namespace boxkeeper::logs::remote
