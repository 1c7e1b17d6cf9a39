#include "logs/s3/json_credentials.h"

#include <boost/json/parse.hpp>

#include "absl/strings/str_cat.h"

namespace boxkeeper::logs::s3 {
namespace {

std::string TextOf(const boost::json::object& object, const char* key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return "";
  return std::string(value->as_string().data(), value->as_string().size());
}

}  // namespace

absl::StatusOr<Credentials> CredentialsOfJson(const std::string& text, const std::string& source) {
  const absl::Status bad =
      absl::UnavailableError(absl::StrCat(source, ": the answer holds no credentials"));
  boost::json::error_code error;
  const boost::json::value parsed =
      boost::json::parse(boost::json::string_view(text.data(), text.size()), error);
  if (error || !parsed.is_object()) return bad;
  const boost::json::object& object = parsed.get_object();
  Credentials credentials;
  credentials.access_key_id = TextOf(object, "AccessKeyId");
  credentials.secret_key = ShareSecret(TextOf(object, "SecretAccessKey"));
  if (credentials.access_key_id.empty() || credentials.secret_key->empty()) return bad;
  const std::string token = TextOf(object, "Token");
  if (!token.empty()) credentials.session_token = ShareSecret(token);
  const std::string expires = TextOf(object, "Expiration");
  std::string ignored;
  if (!expires.empty() &&
      !absl::ParseTime(absl::RFC3339_full, expires, &credentials.expires, &ignored)) {
    return bad;
  }
  credentials.source = source;
  return credentials;
}

}  // namespace boxkeeper::logs::s3
