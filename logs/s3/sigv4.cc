#include "logs/s3/sigv4.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"

namespace boxkeeper::logs::s3 {
namespace {

using CanonicalHeaders = std::map<std::string, std::string>;

// Without spaces around it, runs of spaces as one.
std::string CanonicalValue(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

CanonicalHeaders Canonical(const base::http::Headers& headers) {
  CanonicalHeaders canonical;
  for (const auto& [name, value] : headers.fields()) {
    auto [at, added] = canonical.try_emplace(absl::AsciiStrToLower(name), CanonicalValue(value));
    if (!added) absl::StrAppend(&at->second, ",", CanonicalValue(value));
  }
  return canonical;
}

std::string SignedNames(const CanonicalHeaders& headers) {
  std::string names;
  for (const auto& [name, value] : headers) absl::StrAppend(&names, names.empty() ? "" : ";", name);
  return names;
}

std::string Canonical(const SignedParts& parts, const CanonicalHeaders& headers) {
  std::string text =
      absl::StrCat(parts.method, "\n", parts.path, "\n", remote::EncodeQuery(parts.query), "\n");
  for (const auto& [name, value] : headers) absl::StrAppend(&text, name, ":", value, "\n");
  absl::StrAppend(&text, "\n", SignedNames(headers), "\n", parts.payload_sha256);
  return text;
}

base::SecretString Hmac(std::string_view key, std::string_view message) {
  std::string mac = base::HmacSha256(key).Mac(message);
  base::SecretString kept(mac);
  base::WipeString(mac);
  return kept;
}

std::string Signature(const Credentials& credentials, const SigningScope& scope,
                      const std::string& day, const std::string& text) {
  const std::string_view secret = credentials.secret_key->view();
  constexpr std::string_view kStart = "AWS4";
  base::SecretString start(kStart.size() + secret.size());
  kStart.copy(start.data(), kStart.size());
  secret.copy(start.data() + kStart.size(), secret.size());
  const base::SecretString of_day = Hmac(start.view(), day);
  const base::SecretString of_region = Hmac(of_day.view(), scope.region);
  const base::SecretString of_service = Hmac(of_region.view(), scope.service);
  const base::SecretString key = Hmac(of_service.view(), "aws4_request");
  return base::HexEncode(base::HmacSha256(key.view()).Mac(text));
}

}  // namespace

std::string CanonicalRequest(const SignedParts& parts) {
  return Canonical(parts, Canonical(parts.headers));
}

base::http::Headers SignV4(const SignedParts& parts, const SigningScope& scope,
                           const Credentials& credentials, absl::Time now) {
  const std::string time = absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone());
  const std::string day = time.substr(0, 8);
  base::http::Headers added;
  added.Add("x-amz-date", time);
  if (credentials.session_token != nullptr) {
    added.Add("x-amz-security-token", std::string(credentials.session_token->view()));
  }
  CanonicalHeaders headers = Canonical(parts.headers);
  headers.merge(Canonical(added));
  const std::string within =
      absl::StrCat(day, "/", scope.region, "/", scope.service, "/aws4_request");
  const std::string text = absl::StrCat("AWS4-HMAC-SHA256\n", time, "\n", within, "\n",
                                        base::HexEncode(base::Sha256(Canonical(parts, headers))));
  added.Add("Authorization",
            absl::StrCat("AWS4-HMAC-SHA256 Credential=", credentials.access_key_id, "/", within,
                         ", SignedHeaders=", SignedNames(headers),
                         ", Signature=", Signature(credentials, scope, day, text)));
  return added;
}

}  // namespace boxkeeper::logs::s3
