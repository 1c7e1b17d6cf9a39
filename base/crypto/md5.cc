#include "base/crypto/md5.h"

#include <openssl/evp.h>

namespace boxkeeper::base {

std::string Md5(std::string_view bytes) {
  // Fetched once: a look-up by name costs as much as a small digest.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
  std::string digest(16, '\0');
  unsigned size = 0;
  if (algorithm == nullptr ||
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 algorithm, nullptr) != 1) {
    return "";
  }
  return digest;
}

}  // namespace boxkeeper::base
