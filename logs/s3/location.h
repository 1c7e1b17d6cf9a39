// Where a bucket is and how requests to it are addressed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/http/base_url.h"
#include "logs/remote/store_url.h"

namespace boxkeeper::logs::s3 {

struct LocationOptions {
  remote::StoreUrl url;
  std::string endpoint;     // "" = Amazon's of the region
  std::string region;       // not empty
  bool path_style = false;  // the bucket in the path, not in the host's name
};

struct Location {
  base::http::Origin origin;
  // Before an object's key: "/", "/bucket/", or with the endpoint's own path.
  std::string root;
  std::string bucket_path;  // for requests about the bucket: "/" or "/bucket"
};

// The bucket is in the path also where it cannot be in the host's name: the endpoint is an address
// or one word ("localhost"), or TLS and a bucket with a dot, which no wildcard certificate covers.
// kInvalidArgument: the endpoint is no URL.
absl::StatusOr<Location> Locate(const LocationOptions& options);

}  // namespace boxkeeper::logs::s3
