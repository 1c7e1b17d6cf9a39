// The configuration keys that every remote provider has.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/http/client.h"
#include "google/protobuf/struct.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers {

struct RemoteOptions {
  base::http::BaseUrl base_url;
  std::string api_key_file;  // its first line is the key
  std::string api_key_env;   // the variable that holds it
  std::string ca_file;       // "" = the system's certificates
  std::optional<base::http::Proxy> proxy;
  bool allow_link_local = false;  // see base::http::AddressPolicy
};

// Keys that ReadRemoteOptions understands, for messages.
const std::set<std::string>& RemoteKeys();

// Reads the RemoteKeys of a section; every mistake is appended to `violations`. `base_url_default`
// "" = the key is needed. Pure.
RemoteOptions ReadRemoteOptions(const google::protobuf::Struct& options,
                                const std::string& base_url_default,
                                std::vector<FieldViolation>& violations);

// What the HTTP client needs, with "Authorization: Bearer KEY" where a key is configured. Timeouts
// are those of each call. kFailedPrecondition: the key cannot be read, and why; never its value.
absl::StatusOr<base::http::ClientOptions> MakeClientOptions(const RemoteOptions& options);

}  // namespace boxkeeper::providers
