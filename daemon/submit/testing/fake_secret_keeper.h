// A SecretKeeper for tests: no cryptography, but what it gives out does not contain the values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "daemon/submit/secret_keeper.h"

namespace boxkeeper::daemon::testing {

class FakeSecretKeeper : public SecretKeeper {
 public:
  // Open(Seal(text, associated), associated) == text.
  std::string Seal(std::string_view plaintext, std::string_view associated) const override {
    return KeyedHash(associated) + Masked(plaintext);
  }
  static std::string Open(std::string_view box, std::string_view associated) {
    const std::string hash = FakeSecretKeeper().KeyedHash(associated);
    return box.substr(0, hash.size()) == hash ? Masked(box.substr(hash.size())) : "";
  }
  std::string KeyedHash(std::string_view value) const override {
    uint64_t hash = 14695981039346656037ULL;  // FNV-1a
    for (unsigned char c : value) hash = (hash ^ c) * 1099511628211ULL;
    char bytes[32] = {};
    std::memcpy(bytes, &hash, sizeof(hash));
    return std::string(bytes, sizeof(bytes));
  }

 private:
  static std::string Masked(std::string_view text) {
    std::string masked(text);
    for (char& c : masked) c = static_cast<char>(c ^ 0x5a);
    return masked;
  }
};

}  // namespace boxkeeper::daemon::testing
