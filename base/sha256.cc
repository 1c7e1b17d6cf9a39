#include "base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/secret_string.h"

namespace boxkeeper::base {
namespace {

constexpr size_t kBlockBytes = 64;
constexpr size_t kDigestBytes = 32;

const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK(algorithm != nullptr, "OpenSSL has SHA-256");
  return algorithm;
}

std::string FinishDigest(EVP_MD_CTX* context) {
  std::string digest(kDigestBytes, '\0');
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), &size) == 1);
  return digest;
}

struct ThreadContext {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~ThreadContext() { EVP_MD_CTX_free(context); }
};

EVP_MD_CTX* ForThisThread() {
  thread_local ThreadContext mine;
  return mine.context;
}

}  // namespace

std::string Sha256(std::string_view bytes) {
  EVP_MD_CTX* context = ForThisThread();
  CHECK(EVP_DigestInit_ex2(context, Algorithm(), nullptr) == 1);
  CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
  return FinishDigest(context);
}

void Sha256Stream::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  CHECK(EVP_DigestInit_ex2(context_.get(), Algorithm(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;

void Sha256Stream::Add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256Stream::Finish() {
  std::string digest = FinishDigest(context_.get());
  CHECK(EVP_DigestInit_ex2(context_.get(), Algorithm(), nullptr) == 1);
  return digest;
}

// RFC 2104: H(key ^ opad, H(key ^ ipad, message)); both first blocks are hashed here.
HmacSha256::HmacSha256(std::string_view key) {
  SecretString block(kBlockBytes);
  if (key.size() > kBlockBytes) {
    std::string digest = Sha256(key);
    digest.copy(block.data(), kBlockBytes);
    WipeString(digest);
  } else {
    key.copy(block.data(), kBlockBytes);
  }
  for (size_t i = 0; i < kBlockBytes; ++i) block.data()[i] ^= 0x36;
  inner_.Add(block.view());
  for (size_t i = 0; i < kBlockBytes; ++i) block.data()[i] ^= 0x36 ^ 0x5c;
  outer_.Add(block.view());
}

std::string HmacSha256::Mac(std::string_view message) const {
  EVP_MD_CTX* context = ForThisThread();
  CHECK(EVP_MD_CTX_copy_ex(context, inner_.context_.get()) == 1);
  CHECK(EVP_DigestUpdate(context, message.data(), message.size()) == 1);
  const std::string inner = FinishDigest(context);
  CHECK(EVP_MD_CTX_copy_ex(context, outer_.context_.get()) == 1);
  CHECK(EVP_DigestUpdate(context, inner.data(), inner.size()) == 1);
  return FinishDigest(context);
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace boxkeeper::base
