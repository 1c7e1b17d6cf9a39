#include <utility>

#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/remote/encode.h"
#include "logs/remote/errors.h"
#include "logs/remote/xml.h"
#include "logs/s3/metadata_call.h"
#include "logs/s3/profile_files.h"
#include "logs/s3/remote_credentials.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

struct Role {
  std::string arn;
  std::string session;
  base::SecretString token;
};

std::string Endpoint(const remote::Environment& environment, const std::string& region) {
  if (std::string url = environment("AWS_ENDPOINT_URL_STS"); !url.empty()) return url;
  const char* suffix = region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
  return absl::StrCat("https://sts.", region, suffix);
}

absl::StatusOr<Credentials> CredentialsOfXml(const http::Reply& reply, const std::string& source) {
  auto root = remote::XmlElement::Parse(reply.body);
  if (reply.status >= 300) {
    remote::ErrorAnswer answer{.status = reply.status};
    if (root.ok()) {
      answer.code = root->Text("Error/Code");
      answer.message = root->Text("Error/Message");
    }
    // A token that has just expired is replaced by the platform soon.
    const bool passing =
        answer.code == "ExpiredTokenException" || answer.code == "IDPCommunicationError";
    return remote::MakeError(
        passing ? absl::StatusCode::kUnavailable : absl::StatusCode::kUnauthenticated, source,
        answer);
  }
  Credentials credentials;
  std::string expires, ignored;
  if (root.ok()) {
    const std::string at = "AssumeRoleWithWebIdentityResult/Credentials/";
    credentials.access_key_id = root->Text(at + "AccessKeyId");
    credentials.secret_key = ShareSecret(root->Text(at + "SecretAccessKey"));
    credentials.session_token = ShareSecret(root->Text(at + "SessionToken"));
    expires = root->Text(at + "Expiration");
  }
  if (credentials.access_key_id.empty() || credentials.secret_key->empty() ||
      credentials.session_token->empty() ||
      !absl::ParseTime(absl::RFC3339_full, expires, &credentials.expires, &ignored)) {
    return absl::UnavailableError(absl::StrCat(source, ": the answer holds no credentials"));
  }
  credentials.source = source;
  return credentials;
}

class WebIdentityCredentials final : public CredentialSource {
 public:
  WebIdentityCredentials(RemoteDeps deps, std::string region, std::string profile,
                         bool profile_only)
      : deps_(std::move(deps)),
        region_(std::move(region)),
        profile_(std::move(profile)),
        profile_only_(profile_only) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    auto work = [this] { return LoadRole(); };
    auto role = co_await base::RunOn(deps_.local.pool, std::move(work));
    CO_RETURN_IF_ERROR(role.status());
    MetadataCall call;
    const std::string source = absl::StrCat("the web identity's role '", role->arn, "'");
    call.what = source;
    call.url = Endpoint(deps_.local.environment, region_);
    call.connect_timeout = std::chrono::seconds(10);
    call.answer_timeout = std::chrono::seconds(10);
    call.request.method = "POST";
    call.request.headers.Add("Content-Type", "application/x-www-form-urlencoded");
    call.request.body =
        remote::EncodeQuery({{"Action", "AssumeRoleWithWebIdentity"},
                             {"Version", "2011-06-15"},
                             {"RoleArn", role->arn},
                             {"RoleSessionName", role->session},
                             {"WebIdentityToken", std::string(role->token.view())}});
    auto reply = co_await CallMetadata(deps_, std::move(call));
    CO_RETURN_IF_ERROR(reply.status());
    co_return CredentialsOfXml(*reply, source);
  }

 private:
  // Blocking. The token is read each time: the platform replaces it.
  absl::StatusOr<Role> LoadRole() const {
    const remote::Environment& environment = deps_.local.environment;
    Role role;
    std::string path = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
    role.arn = environment("AWS_ROLE_ARN");
    role.session = environment("AWS_ROLE_SESSION_NAME");
    if (profile_only_ || path.empty() || role.arn.empty()) {
      ASSIGN_OR_RETURN(const auto profile, LoadProfile(deps_.local.files, environment, profile_));
      const auto value = [&profile](const char* key) -> std::string {
        return profile && profile->contains(key) ? profile->at(key) : "";
      };
      path = value("web_identity_token_file");
      role.arn = value("role_arn");
      role.session = value("role_session_name");
    }
    if (path.empty() || role.arn.empty()) return absl::NotFoundError("no web identity");
    if (role.session.empty()) role.session = "boxkeeper";
    ASSIGN_OR_RETURN(role.token, ReadSecretLine(deps_.local.files, path));
    return role;
  }

  RemoteDeps deps_;
  const std::string region_, profile_;
  const bool profile_only_;
};

}  // namespace

std::unique_ptr<CredentialSource> MakeWebIdentityCredentials(RemoteDeps deps, std::string region,
                                                             std::string profile,
                                                             bool profile_only) {
  return std::make_unique<WebIdentityCredentials>(std::move(deps), std::move(region),
                                                  std::move(profile), profile_only);
}

}  // namespace boxkeeper::logs::s3
