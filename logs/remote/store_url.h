// `s3://bucket/prefix` and its likes, taken apart.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace boxkeeper::logs::remote {

struct StoreUrl {
  std::string bucket;  // or container
  std::string prefix;  // of object names: "" or "a/b/", with the slash

  // For messages: "s3://bucket/a/b", without a slash at the end.
  std::string text;
};

// `scheme` without "://". A slash at the end of the prefix counts for nothing. kInvalidArgument for
// another scheme, no bucket, characters that no bucket's name has, and components of the prefix
// that are empty, "." or "..".
absl::StatusOr<StoreUrl> ParseStoreUrl(std::string_view scheme, std::string_view url);

// kInvalidArgument unless `name` can be an object's: components separated by '/', none of them
// empty, "." or "..", no control characters, together with the prefix at most 1024 bytes.
absl::Status CheckObjectName(const StoreUrl& url, std::string_view name);

}  // namespace boxkeeper::logs::remote
