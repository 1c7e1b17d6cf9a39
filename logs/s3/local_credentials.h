// Credentials of this machine's files and environment.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "logs/remote/environment.h"
#include "logs/s3/credentials.h"

namespace boxkeeper::logs::s3 {

// What sources need; referenced parts outlive them.
struct LocalDeps {
  base::FileSystem& files;
  boost::asio::any_io_executor pool;  // files are read there
  remote::Environment environment;
};

// Two files with a line each. Read anew at each Fetch, so that keys can be replaced.
std::unique_ptr<CredentialSource> MakeFileCredentials(LocalDeps deps, std::string access_key_file,
                                                      std::string secret_key_file);

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
std::unique_ptr<CredentialSource> MakeEnvironmentCredentials(LocalDeps deps);

// Static keys of a profile. `required`: a profile without is an error, not kNotFound. A profile
// that says how else to get keys (credential_process, source_profile, SSO) is an error that names
// what is supported; one with web_identity_token_file is not: web_identity.h reads that.
std::unique_ptr<CredentialSource> MakeProfileCredentials(LocalDeps deps, std::string profile,
                                                         bool required);

// The first line of a file, without spaces around it. Blocking.
absl::StatusOr<base::SecretString> ReadSecretLine(base::FileSystem& files, const std::string& path);

}  // namespace boxkeeper::logs::s3
