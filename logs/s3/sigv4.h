// AWS Signature Version 4 in the Authorization header.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "base/http/message.h"
#include "logs/remote/encode.h"
#include "logs/s3/credentials.h"

namespace boxkeeper::logs::s3 {

// What is signed of a request. All headers are: leave out what others may change.
struct SignedParts {
  std::string method;
  std::string path;  // as it is sent: encoded once (S3 does not encode it again)
  remote::Query query;
  base::http::Headers headers;  // with Host
  std::string payload_sha256;   // lower-case hexadecimal
};

struct SigningScope {
  std::string region;
  std::string service;  // "s3"
};

// The headers to send in addition: x-amz-date, x-amz-security-token where there is one, and
// Authorization.
base::http::Headers SignV4(const SignedParts& parts, const SigningScope& scope,
                           const Credentials& credentials, absl::Time now);

// For tests: what the signature is computed over, of `parts` whose headers are complete.
std::string CanonicalRequest(const SignedParts& parts);

}  // namespace boxkeeper::logs::s3
