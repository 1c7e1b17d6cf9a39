#include "logs/s3/location.h"

#include <boost/asio/ip/address.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::s3 {
namespace {

using base::http::Scheme;

std::string AmazonsEndpoint(const std::string& region) {
  const char* suffix = region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
  return absl::StrCat("https://s3.", region, suffix);
}

bool MayHaveSubdomains(const base::http::Origin& origin) {
  boost::system::error_code error;
  boost::asio::ip::make_address(origin.host, error);
  return error && origin.host.find('.') != std::string::npos;
}

}  // namespace

absl::StatusOr<Location> Locate(const LocationOptions& options) {
  const std::string endpoint =
      options.endpoint.empty() ? AmazonsEndpoint(options.region) : options.endpoint;
  auto parsed = base::http::ParseBaseUrl(endpoint);
  if (!parsed.ok() || parsed->origin.scheme == Scheme::kUnix) {
    return absl::InvalidArgumentError(
        absl::StrCat("is no address; allowed: https://HOST[:PORT] or http://HOST[:PORT]",
                     parsed.ok() ? "" : ": ", std::string(parsed.status().message())));
  }
  const std::string& bucket = options.url.bucket;
  const bool dotted =
      parsed->origin.scheme == Scheme::kHttps && bucket.find('.') != std::string::npos;
  Location location{parsed->origin, parsed->path + "/", parsed->path + "/"};
  if (options.path_style || dotted || !MayHaveSubdomains(parsed->origin)) {
    location.bucket_path = absl::StrCat(parsed->path, "/", bucket);
    location.root = location.bucket_path + "/";
  } else {
    location.origin.host = absl::StrCat(bucket, ".", location.origin.host);
  }
  return location;
}

}  // namespace boxkeeper::logs::s3
