#include "logs/s3/credential_chain.h"

#include <utility>
#include <vector>

#include "logs/s3/profile_files.h"

namespace boxkeeper::logs::s3 {

std::unique_ptr<CredentialKeeper> MakeCredentialKeeper(RemoteDeps deps, CredentialOptions options) {
  std::vector<std::unique_ptr<CredentialSource>> sources;
  if (!options.access_key_file.empty()) {
    sources.push_back(MakeFileCredentials(deps.local, std::move(options.access_key_file),
                                          std::move(options.secret_key_file)));
    return std::make_unique<CredentialKeeper>(deps.clock, std::move(sources));
  }
  const bool chosen = !options.profile.empty();
  const std::string profile = ProfileName(deps.local.environment, options.profile);
  if (!chosen) sources.push_back(MakeEnvironmentCredentials(deps.local));
  sources.push_back(MakeWebIdentityCredentials(deps, std::move(options.region), profile, chosen));
  sources.push_back(MakeProfileCredentials(deps.local, profile, chosen));
  if (!chosen) {
    sources.push_back(MakeContainerCredentials(deps));
    sources.push_back(MakeInstanceCredentials(deps));
  }
  return std::make_unique<CredentialKeeper>(deps.clock, std::move(sources));
}

}  // namespace boxkeeper::logs::s3
