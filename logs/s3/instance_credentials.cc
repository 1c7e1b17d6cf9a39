#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/remote/encode.h"
#include "logs/s3/json_credentials.h"
#include "logs/s3/metadata_call.h"
#include "logs/s3/remote_credentials.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr char kSource[] = "the EC2 instance's role";
constexpr char kRoles[] = "/latest/meta-data/iam/security-credentials/";

// What IAM allows in a name; anything else is no answer of the service, and is not repeated.
bool IsRoleName(const std::string& name) {
  const auto good = [](unsigned char c) {
    return absl::ascii_isalnum(c) ||
           std::string_view("+=,.@_-").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return name.size() <= 64 && std::all_of(name.begin(), name.end(), good);
}

class InstanceCredentials final : public CredentialSource {
 public:
  explicit InstanceCredentials(RemoteDeps deps) : deps_(std::move(deps)) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    if (absl::EqualsIgnoreCase(deps_.local.environment("AWS_EC2_METADATA_DISABLED"), "true")) {
      co_return absl::NotFoundError("EC2's metadata service is not asked");
    }
    auto token = co_await Ask("PUT", "/latest/api/token", "");
    if (!token.ok()) {
      // A lapse of the service must not send us on without credentials if there were some.
      if (seen_) co_return token.status();
      co_return absl::NotFoundError("no EC2 metadata service answers");
    }
    auto role = co_await Ask("GET", kRoles, *token);
    CO_RETURN_IF_ERROR(role.status());
    const std::string name = role->substr(0, role->find_first_of("\r\n"));
    if (name.empty()) co_return absl::NotFoundError("the EC2 instance has no role");
    if (!IsRoleName(name)) {
      co_return absl::UnavailableError(absl::StrCat(kSource, ": the answer names no role"));
    }
    auto answer = co_await Ask("GET", kRoles + remote::EncodeValue(name), *token);
    CO_RETURN_IF_ERROR(answer.status());
    seen_ = true;
    co_return CredentialsOfJson(*answer, absl::StrCat(kSource, " '", name, "'"));
  }

 private:
  asio::awaitable<absl::StatusOr<std::string>> Ask(std::string method, std::string target,
                                                   std::string token) {
    MetadataCall call;
    call.what = kSource;
    const std::string elsewhere = deps_.local.environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    call.url = elsewhere.empty() ? "http://169.254.169.254" : elsewhere;
    call.allow_link_local = true;
    call.request.method = std::move(method);
    call.request.target = std::move(target);
    call.answer_timeout = std::chrono::seconds(2);
    if (token.empty()) {
      call.request.headers.Add("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    } else {
      call.request.headers.Add("X-aws-ec2-metadata-token", std::move(token));
    }
    auto reply = co_await CallMetadata(deps_, std::move(call));
    CO_RETURN_IF_ERROR(reply.status());
    if (reply->status == 404) co_return absl::NotFoundError("the EC2 instance has no role");
    if (reply->status >= 400) {
      co_return absl::UnavailableError(absl::StrCat(kSource, ": HTTP ", reply->status));
    }
    co_return std::move(reply->body);
  }

  RemoteDeps deps_;
  bool seen_ = false;
};

}  // namespace

std::unique_ptr<CredentialSource> MakeInstanceCredentials(RemoteDeps deps) {
  return std::make_unique<InstanceCredentials>(std::move(deps));
}

}  // namespace boxkeeper::logs::s3
