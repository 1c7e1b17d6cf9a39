// Azure Storage's Shared Key signature (Blob service, version 2015-02-21 and later).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http/message.h"

namespace boxkeeper::logs::azure {

// A request as it is signed.
struct SignedParts {
  std::string method;
  std::string path;  // as sent: with the endpoint's own path, percent-encoded
  std::vector<std::pair<std::string, std::string>> query = {};  // not encoded
  uint64_t content_length = 0;
  const base::http::Headers& headers;
};

// What is signed. `account` is the one of the key; with an endpoint that has it in its path too
// (emulators) it stands in the resource twice.
std::string StringToSign(const std::string& account, const SignedParts& parts);

// The value of the Authorization header. `key`: the account's, decoded from base64.
std::string SharedKeyAuthorization(const std::string& account, std::string_view key,
                                   const SignedParts& parts);

}  // namespace boxkeeper::logs::azure
