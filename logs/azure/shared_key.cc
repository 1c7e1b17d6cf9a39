#include "logs/azure/shared_key.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/crypto/base64.h"
#include "base/sha256.h"

namespace boxkeeper::logs::azure {
namespace {

// In the order in which their values are signed; Content-Length stands between the second and the
// third.
constexpr std::string_view kBeforeLength[] = {"Content-Encoding", "Content-Language"};
constexpr std::string_view kAfterLength[] = {"Content-MD5",         "Content-Type", "Date",
                                             "If-Modified-Since",   "If-Match",     "If-None-Match",
                                             "If-Unmodified-Since", "Range"};
constexpr std::string_view kOwnPrefix = "x-ms-";

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

void AppendField(const base::http::Headers& headers, std::string_view name, std::string& out) {
  if (const std::string* value = headers.Find(name)) out += *value;
  out += '\n';
}

void AppendOwnHeaders(const base::http::Headers& headers, std::string& out) {
  std::map<std::string, std::string> own;
  for (const auto& [name, value] : headers.fields()) {
    std::string lower = Lower(name);
    if (lower.starts_with(kOwnPrefix)) own.emplace(std::move(lower), value);
  }
  for (const auto& [name, value] : own) absl::StrAppend(&out, name, ":", value, "\n");
}

void AppendResource(const std::string& account, const SignedParts& parts, std::string& out) {
  absl::StrAppend(&out, "/", account, parts.path);
  std::map<std::string, std::vector<std::string>> query;
  for (const auto& [name, value] : parts.query) query[Lower(name)].push_back(value);
  for (auto& [name, values] : query) {
    std::sort(values.begin(), values.end());
    absl::StrAppend(&out, "\n", name, ":");
    for (size_t i = 0; i < values.size(); ++i) absl::StrAppend(&out, i == 0 ? "" : ",", values[i]);
  }
}

}  // namespace

std::string StringToSign(const std::string& account, const SignedParts& parts) {
  std::string text = parts.method + "\n";
  for (std::string_view name : kBeforeLength) AppendField(parts.headers, name, text);
  if (parts.content_length > 0) absl::StrAppend(&text, parts.content_length);
  text += '\n';
  for (std::string_view name : kAfterLength) AppendField(parts.headers, name, text);
  AppendOwnHeaders(parts.headers, text);
  AppendResource(account, parts, text);
  return text;
}

std::string SharedKeyAuthorization(const std::string& account, std::string_view key,
                                   const SignedParts& parts) {
  const std::string mac = base::HmacSha256(key).Mac(StringToSign(account, parts));
  return absl::StrCat("SharedKey ", account, ":", base::Base64Encode(mac));
}

}  // namespace boxkeeper::logs::azure
