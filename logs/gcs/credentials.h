// Who we are to Google Cloud: credentials files, as Google's own libraries look for them.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/file_system.h"
#include "base/secret_string.h"
#include "logs/remote/environment.h"

namespace boxkeeper::logs::gcs {

// `logs.gcs`. Both may be empty.
struct Settings {
  std::string credentials_file = {};
  std::string endpoint = {};  // "https://storage.googleapis.com" if empty
};

struct Credentials {
  enum class Kind {
    kAnonymous,       // an emulator that asks for none
    kServiceAccount,  // a key file: signs its own requests for tokens
    kAuthorizedUser,  // of `gcloud auth application-default login`
    kMetadataServer,  // the machine's or the pod's own account
  };
  Kind kind = Kind::kAnonymous;
  std::string source;  // for messages: where they come from

  std::string token_uri = {};  // of the two with a file
  std::string client_email = {}, private_key_id = {};
  base::SecretString private_key = {};  // PEM
  std::string client_id = {};
  base::SecretString client_secret = {}, refresh_token = {};
};

// In this order: `settings.credentials_file`; GOOGLE_APPLICATION_CREDENTIALS; none where
// STORAGE_EMULATOR_HOST names an emulator; gcloud's application_default_credentials.json; the
// metadata server. Blocking. kUnauthenticated that says what is wrong with which file; never quotes
// a secret.
absl::StatusOr<Credentials> FindCredentials(base::FileSystem& files, const Settings& settings,
                                            const remote::Environment& environment);

// What a service account sends for a token (RFC 7523): signed with its key, good for an hour from
// `now` on. kUnauthenticated: the key is none.
absl::StatusOr<base::SecretString> SignedAssertion(const Credentials& credentials, absl::Time now);

// The server: `settings.endpoint`, STORAGE_EMULATOR_HOST or Google's.
std::string EndpointOf(const Settings& settings, const remote::Environment& environment);

}  // namespace boxkeeper::logs::gcs
