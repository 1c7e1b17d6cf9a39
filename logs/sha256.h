// SHA-256, in one go or as the bytes come.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace boxkeeper::logs {

class Sha256 {
 public:
  Sha256();
  void Update(std::string_view bytes);
  // The 32 bytes. Once, at the end.
  std::string Finish();

  static std::string Of(std::string_view bytes);

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// Lower-case hexadecimal.
std::string Hex(std::string_view bytes);

}  // namespace boxkeeper::logs
