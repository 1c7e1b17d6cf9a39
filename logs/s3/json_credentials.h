// The answer of the metadata services.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "logs/s3/credentials.h"

namespace boxkeeper::logs::s3 {

// {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}; kUnavailable for anything else, which
// is not repeated: it may hold a secret.
absl::StatusOr<Credentials> CredentialsOfJson(const std::string& text, const std::string& source);

}  // namespace boxkeeper::logs::s3
