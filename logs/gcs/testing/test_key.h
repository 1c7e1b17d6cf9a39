// A service account's key of the test's own, made once per process.
#pragma once

#include <string>

namespace boxkeeper::logs::gcs {

// The JSON key file of boxkeeper@test.iam.gserviceaccount.com, key id "key-1".
std::string TestKeyFile(const std::string& token_uri);
// RS256, checked with OpenSSL alone.
bool IsSignedByTestKey(const std::string& message, const std::string& signature);

}  // namespace boxkeeper::logs::gcs
