#include "daemon/service/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  return text;
}

absl::Status BadLine(int line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

absl::Status Unauthenticated(const std::string& reason, const std::string& message) {
  return ApiError(absl::StatusCode::kUnauthenticated, reason, message);
}

}  // namespace

TokenSet::Digest TokenSet::Hash(std::string_view token) {
  Digest digest;
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), digest.data());
  return digest;
}

absl::StatusOr<TokenSet> TokenSet::Parse(std::string_view text) {
  TokenSet set;
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const size_t colon = line.find(':');
    const bool named = colon != std::string_view::npos;
    const std::string_view token = named ? Trim(line.substr(colon + 1)) : line;
    if (token.empty()) return BadLine(number, "no token after the name");
    if (token.find_first_of(" \t") != std::string_view::npos) {
      return BadLine(number, "a token has no spaces");
    }
    const std::string name =
        named ? std::string(Trim(line.substr(0, colon))) : absl::StrCat("line ", number);
    set.entries_.push_back({name, Hash(token)});
  }
  if (set.entries_.empty()) return absl::InvalidArgumentError("it holds no token");
  return set;
}

std::optional<std::string> TokenSet::Find(std::string_view token) const {
  const Digest digest = Hash(token);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

absl::StatusOr<TokenSet> LoadTokens(const std::string& path) {
  auto files = base::MakeRealFileSystem();
  auto text = base::ReadFile(*files, path);
  if (!text.ok()) return text.status();
  auto tokens = TokenSet::Parse(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (!tokens.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", std::string(tokens.status().message())));
  }
  return tokens;
}

void Authenticator::Replace(std::shared_ptr<const TokenSet> tokens) {
  const std::lock_guard lock(mutex_);
  tokens_ = std::move(tokens);
}

absl::StatusOr<std::string> Authenticator::Check(
    std::string_view peer, std::optional<std::string_view> authorization) const {
  if (peer.substr(0, 5) == "unix:") return std::string("unix socket");
  std::shared_ptr<const TokenSet> tokens;
  {
    const std::lock_guard lock(mutex_);
    tokens = tokens_;
  }
  if (tokens == nullptr) return std::string("anonymous");
  if (!authorization.has_value()) {
    return Unauthenticated("TOKEN_MISSING",
                           "this server asks for a token: send 'authorization: Bearer TOKEN'");
  }
  constexpr std::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(std::string(*authorization), std::string(kScheme))) {
    return Unauthenticated("TOKEN_INVALID", "the authorization must be of the form 'Bearer TOKEN'");
  }
  auto name = tokens->Find(Trim(authorization->substr(kScheme.size())));
  if (!name.has_value())
    return Unauthenticated("TOKEN_INVALID", "this server does not know the token");
  return *std::move(name);
}

}  // namespace boxkeeper::daemon
