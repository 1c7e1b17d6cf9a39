// RSA signatures with a private key that came as PEM (service accounts).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_pkey_st;

namespace boxkeeper::base {

// RSASSA-PKCS1-v1_5 with SHA-256 (RS256 of JWT). Thread-safe. The key stays in OpenSSL's memory and
// is wiped with the object.
class RsaSigner {
 public:
  // `pem`: a private key without passphrase, PKCS #8 or #1. kInvalidArgument that does not repeat
  // it.
  static absl::StatusOr<RsaSigner> FromPem(std::string_view pem);
  ~RsaSigner();
  RsaSigner(RsaSigner&&) noexcept;
  RsaSigner& operator=(RsaSigner&&) noexcept;

  absl::StatusOr<std::string> Sign(std::string_view message) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit RsaSigner(std::unique_ptr<evp_pkey_st, Free> key);
  std::unique_ptr<evp_pkey_st, Free> key_;
};

}  // namespace boxkeeper::base
