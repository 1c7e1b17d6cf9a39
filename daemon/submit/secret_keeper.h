// What preparing a submission needs of the deployment's key.
#pragma once

#include <string>
#include <string_view>

namespace boxkeeper::daemon {

// Seals secret values and hashes them under a key that outlives the process. Thread-safe.
class SecretKeeper {
 public:
  virtual ~SecretKeeper() = default;
  // AES-256-GCM of `plaintext`, bound to `associated`.
  virtual std::string Seal(std::string_view plaintext, std::string_view associated) const = 0;
  // HMAC-SHA-256, 32 bytes: equal for equal values, tells nothing of the value.
  virtual std::string KeyedHash(std::string_view value) const = 0;
};

}  // namespace boxkeeper::daemon
