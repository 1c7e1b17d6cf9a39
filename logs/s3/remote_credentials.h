// Credentials that a service of the cloud hands out for a while.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/rng.h"
#include "logs/s3/credentials.h"
#include "logs/s3/local_credentials.h"

namespace boxkeeper::logs::s3 {

struct RemoteDeps {
  LocalDeps local;
  base::Clock& clock;
  base::Rng& rng;
  boost::asio::any_io_executor loop;
};

// STS AssumeRoleWithWebIdentity, as on EKS (IRSA): AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN and
// AWS_ROLE_SESSION_NAME; where these are not set, web_identity_token_file, role_arn and
// role_session_name of `profile` (with `profile_only` always). At the region's endpoint of STS, or
// AWS_ENDPOINT_URL_STS.
std::unique_ptr<CredentialSource> MakeWebIdentityCredentials(RemoteDeps deps, std::string region,
                                                             std::string profile,
                                                             bool profile_only);

// The agent of a container (ECS, EKS Pod Identity): AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or
// _FULL_URI, with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN. Over
// plain HTTP only loopback addresses and the agents' own are asked.
std::unique_ptr<CredentialSource> MakeContainerCredentials(RemoteDeps deps);

// The role of an EC2 instance, by IMDSv2. Not asked with AWS_EC2_METADATA_DISABLED=true; at
// AWS_EC2_METADATA_SERVICE_ENDPOINT where that is set. A machine without the service counts as one
// without credentials.
std::unique_ptr<CredentialSource> MakeInstanceCredentials(RemoteDeps deps);

}  // namespace boxkeeper::logs::s3
