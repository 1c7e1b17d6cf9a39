// Who may call: bearer tokens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::daemon {

// The accepted tokens: only their SHA-256 is kept, and every comparison looks at all of them in
// full, so that neither memory nor timing tells a token.
class TokenSet {
 public:
  // One token a line, as `token` or `name:token`; blank lines and lines that begin with '#' are
  // skipped. kInvalidArgument: no token at all, or a line with spaces or an empty token; the text
  // names lines, never tokens.
  static absl::StatusOr<TokenSet> Parse(std::string_view text);

  // The token's name ("line 3" for one without); nullopt: not among them.
  std::optional<std::string> Find(std::string_view token) const;
  size_t size() const { return entries_.size(); }

 private:
  using Digest = std::array<uint8_t, 32>;
  struct Entry {
    std::string name;
    Digest digest;
  };
  static Digest Hash(std::string_view token);

  std::vector<Entry> entries_;
};

// Reads `path` whole and parses it. kNotFound, kPermissionDenied, kInvalidArgument.
absl::StatusOr<TokenSet> LoadTokens(const std::string& path);

// Decides about one call. Thread-safe; `Replace` takes effect for calls that begin afterwards.
class Authenticator {
 public:
  // nullptr: no token is asked for.
  explicit Authenticator(std::shared_ptr<const TokenSet> tokens) : tokens_(std::move(tokens)) {}

  void Replace(std::shared_ptr<const TokenSet> tokens);

  // `peer` as gRPC writes it ("unix:...", "ipv4:..."): callers on the unix socket are already known
  // to be the daemon's own user. `authorization` is that header, absent if nullopt. Returns the
  // caller's name; kUnauthenticated with reason TOKEN_MISSING or TOKEN_INVALID.
  absl::StatusOr<std::string> Check(std::string_view peer,
                                    std::optional<std::string_view> authorization) const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TokenSet> tokens_;  // guarded by mutex_
};

}  // namespace boxkeeper::daemon
