// Where an HTTP server is: what configuration says, taken apart.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace boxkeeper::base::http {

enum class Scheme { kHttp, kHttps, kUnix };

// One server. Of kUnix only the socket's path and the host that is named in requests.
struct Origin {
  Scheme scheme = Scheme::kHttps;
  std::string host;  // lower case, without brackets: a name or an address
  uint16_t port = 0;
  std::string socket_path = {};

  friend bool operator==(const Origin&, const Origin&) = default;

  // For the Host header: without the port where it is the scheme's own.
  std::string Authority() const;
  // HOST:PORT, an IPv6 address in brackets.
  std::string HostPort() const;
  // For messages: "https://api.example.com".
  std::string ToString() const;
};

struct BaseUrl {
  Origin origin;
  std::string path;  // "" or "/v1": begins with a slash and does not end with one
};

// `http://HOST[:PORT][/PATH]`, `https://...`, `unix:/path/of/socket`. kInvalidArgument that says
// what is wrong, without repeating the text: a URL with credentials in it is refused, because
// addresses are logged.
absl::StatusOr<BaseUrl> ParseBaseUrl(const std::string& text);

// The request target that a Location header asks for, if it stays on `origin`: an absolute URL of
// that origin, or a path, absolute or relative to `target`. kPermissionDenied if it leads to
// another server.
absl::StatusOr<std::string> ResolveRedirect(const Origin& origin, const std::string& target,
                                            const std::string& location);

}  // namespace boxkeeper::base::http
