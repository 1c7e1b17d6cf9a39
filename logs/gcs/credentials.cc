#include "logs/gcs/credentials.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crypto/base64.h"
#include "base/crypto/rsa_signer.h"
#include "base/status_macros.h"
#include "logs/gcs/json.h"

namespace boxkeeper::logs::gcs {
namespace {

namespace json = boost::json;

constexpr char kFileVariable[] = "GOOGLE_APPLICATION_CREDENTIALS";
constexpr char kEmulatorVariable[] = "STORAGE_EMULATOR_HOST";
constexpr char kGoogle[] = "https://storage.googleapis.com";
constexpr char kTokenUri[] = "https://oauth2.googleapis.com/token";
// Objects, not buckets and their permissions.
constexpr char kScope[] = "https://www.googleapis.com/auth/devstorage.read_write";
constexpr absl::Duration kAssertionLife = absl::Hours(1);

absl::StatusOr<Credentials> Parse(const std::string& text, const std::string& source) {
  auto parsed = ParseJson(text);
  const std::string type = parsed.ok() ? TextAt(*parsed, "type") : "";
  Credentials credentials{.source = source};
  if (type == "service_account") {
    credentials.kind = Credentials::Kind::kServiceAccount;
    credentials.client_email = TextAt(*parsed, "client_email");
    credentials.private_key_id = TextAt(*parsed, "private_key_id");
    credentials.private_key = base::SecretString(TextAt(*parsed, "private_key"));
    if (credentials.client_email.empty() || credentials.private_key.empty()) {
      return absl::UnauthenticatedError(
          absl::StrCat(source, ": lacks client_email or private_key; create the key file anew"));
    }
  } else if (type == "authorized_user") {
    credentials.kind = Credentials::Kind::kAuthorizedUser;
    credentials.client_id = TextAt(*parsed, "client_id");
    credentials.client_secret = base::SecretString(TextAt(*parsed, "client_secret"));
    credentials.refresh_token = base::SecretString(TextAt(*parsed, "refresh_token"));
    if (credentials.refresh_token.empty()) {
      return absl::UnauthenticatedError(
          absl::StrCat(source, ": lacks refresh_token; run gcloud auth application-default login"));
    }
  } else {
    return absl::UnauthenticatedError(absl::StrCat(
        source, ": is no credentials file that is supported",
        type.empty() ? "" : absl::StrCat(" (its type is '", type, "')"),
        "; allowed: the JSON key of a service account, or what gcloud auth application-default "
        "login writes"));
  }
  credentials.token_uri = TextAt(*parsed, "token_uri");
  if (credentials.token_uri.empty()) credentials.token_uri = kTokenUri;
  return credentials;
}

absl::StatusOr<Credentials> FromFile(base::FileSystem& files, const std::string& path,
                                     const std::string& named_by) {
  const std::string source = absl::StrCat(named_by, ": ", path);
  auto content = base::ReadFile(files, path);
  if (!content.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat(source, ": cannot be read: ", std::string(content.status().message())));
  }
  auto credentials = Parse(*content, source);
  base::WipeString(*content);
  return credentials;
}

std::string GcloudFile(const remote::Environment& environment) {
  constexpr char kName[] = "/application_default_credentials.json";
  if (const std::string folder = environment("CLOUDSDK_CONFIG"); !folder.empty()) {
    return folder + kName;
  }
  const std::string home = environment("HOME");
  return home.empty() ? "" : absl::StrCat(home, "/.config/gcloud", kName);
}

}  // namespace

absl::StatusOr<Credentials> FindCredentials(base::FileSystem& files, const Settings& settings,
                                            const remote::Environment& environment) {
  if (!settings.credentials_file.empty()) {
    return FromFile(files, settings.credentials_file, "logs.gcs.credentials_file");
  }
  if (const std::string path = environment(kFileVariable); !path.empty()) {
    return FromFile(files, path, kFileVariable);
  }
  if (!environment(kEmulatorVariable).empty()) {
    return Credentials{.source = absl::StrCat("none, for ", kEmulatorVariable)};
  }
  const std::string gcloud = GcloudFile(environment);
  if (!gcloud.empty() && files.Exists(gcloud).value_or(false)) {
    return FromFile(files, gcloud, "gcloud");
  }
  return Credentials{.kind = Credentials::Kind::kMetadataServer, .source = "the metadata server"};
}

absl::StatusOr<base::SecretString> SignedAssertion(const Credentials& credentials, absl::Time now) {
  auto signer = base::RsaSigner::FromPem(credentials.private_key.view());
  if (!signer.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat(credentials.source, ": private_key is no RSA key in PEM"));
  }
  json::object header = {{"alg", "RS256"}, {"typ", "JWT"}};
  if (!credentials.private_key_id.empty()) header["kid"] = credentials.private_key_id;
  const json::object claims = {{"iss", credentials.client_email},
                               {"scope", kScope},
                               {"aud", credentials.token_uri},
                               {"iat", absl::ToUnixSeconds(now)},
                               {"exp", absl::ToUnixSeconds(now + kAssertionLife)}};
  const std::string text = absl::StrCat(base::Base64UrlEncode(json::serialize(header)), ".",
                                        base::Base64UrlEncode(json::serialize(claims)));
  ASSIGN_OR_RETURN(const std::string signature, signer->Sign(text));
  return base::SecretString(absl::StrCat(text, ".", base::Base64UrlEncode(signature)));
}

std::string EndpointOf(const Settings& settings, const remote::Environment& environment) {
  if (!settings.endpoint.empty()) return settings.endpoint;
  const std::string emulator = environment(kEmulatorVariable);
  if (emulator.empty()) return kGoogle;
  return emulator.find("://") == std::string::npos ? "http://" + emulator : emulator;
}

}  // namespace boxkeeper::logs::gcs
