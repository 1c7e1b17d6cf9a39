// Where credentials are looked for, in the order of AWS's own tools.
#pragma once

#include <memory>
#include <string>

#include "logs/s3/credential_keeper.h"
#include "logs/s3/remote_credentials.h"

namespace boxkeeper::logs::s3 {

struct CredentialOptions {
  std::string access_key_file;  // with secret_key_file: only these
  std::string secret_key_file;
  std::string profile;  // not empty: only this one
  std::string region;   // of STS
};

std::unique_ptr<CredentialKeeper> MakeCredentialKeeper(RemoteDeps deps, CredentialOptions options);

}  // namespace boxkeeper::logs::s3
