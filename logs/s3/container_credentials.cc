#include <boost/asio/ip/address.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/s3/json_credentials.h"
#include "logs/s3/metadata_call.h"
#include "logs/s3/remote_credentials.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr char kSource[] = "the container's credentials service";
constexpr char kEcsAgent[] = "http://169.254.170.2";

struct Address {
  std::string url;
  std::string target;
  bool allow_link_local = false;
};

bool IsAgent(const std::string& host) {
  return host == "169.254.170.2" || host == "169.254.170.23" || host == "fd00:ec2::23";
}

bool IsLoopback(const std::string& host) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  return host == "localhost" || (!error && address.is_loopback());
}

absl::StatusOr<Address> AddressOf(const remote::Environment& environment) {
  const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) return Address{kEcsAgent, relative, true};
  const std::string full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full.empty()) return absl::NotFoundError("no container's role");
  const size_t authority = full.find("://");
  const size_t path = authority == std::string::npos ? authority : full.find('/', authority + 3);
  Address address{full.substr(0, path), path == std::string::npos ? "/" : full.substr(path)};
  const auto base = http::ParseBaseUrl(address.url);
  if (!base.ok() || base->origin.scheme == http::Scheme::kUnix) {
    return absl::InvalidArgumentError("AWS_CONTAINER_CREDENTIALS_FULL_URI is no HTTP address");
  }
  address.allow_link_local = IsAgent(base->origin.host);
  if (base->origin.scheme == http::Scheme::kHttp && !address.allow_link_local &&
      !IsLoopback(base->origin.host)) {
    return absl::InvalidArgumentError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI: over http only loopback addresses and those of ECS "
        "and EKS are allowed");
  }
  return address;
}

class ContainerCredentials final : public CredentialSource {
 public:
  explicit ContainerCredentials(RemoteDeps deps) : deps_(std::move(deps)) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    auto address = AddressOf(deps_.local.environment);
    CO_RETURN_IF_ERROR(address.status());
    MetadataCall call;
    call.what = kSource;
    call.url = address->url;
    call.allow_link_local = address->allow_link_local;
    call.request.target = address->target;
    absl::Status authorized = co_await Authorize(call.request);
    CO_RETURN_IF_ERROR(authorized);
    auto reply = co_await CallMetadata(deps_, std::move(call));
    CO_RETURN_IF_ERROR(reply.status());
    if (reply->status >= 400) {
      co_return absl::FailedPreconditionError(absl::StrCat(kSource, ": HTTP ", reply->status));
    }
    co_return CredentialsOfJson(reply->body, kSource);
  }

 private:
  // The token's file is read each time: EKS replaces it.
  asio::awaitable<absl::Status> Authorize(http::Request& request) {
    const std::string path = deps_.local.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (path.empty()) {
      const std::string token = deps_.local.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
      if (!token.empty()) request.headers.Add("Authorization", token);
      co_return absl::OkStatus();
    }
    auto work = [this, path] { return ReadSecretLine(deps_.local.files, path); };
    auto token = co_await base::RunOn(deps_.local.pool, std::move(work));
    CO_RETURN_IF_ERROR(token.status());
    request.headers.Add("Authorization", std::string(token->view()));
    co_return absl::OkStatus();
  }

  RemoteDeps deps_;
};

}  // namespace

std::unique_ptr<CredentialSource> MakeContainerCredentials(RemoteDeps deps) {
  return std::make_unique<ContainerCredentials>(std::move(deps));
}

}  // namespace boxkeeper::logs::s3
