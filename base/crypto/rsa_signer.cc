#include "base/crypto/rsa_signer.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <utility>

#include "base/check.h"

namespace boxkeeper::base {
namespace {

constexpr int kBitsMin = 2048;

// Never asks a terminal: a key with a passphrase is refused.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return 0; }

// The queue is the thread's: what is left in it would be taken for another call's error (TLS).
absl::Status Refused(const char* what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(what);
}

}  // namespace

void RsaSigner::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

RsaSigner::RsaSigner(std::unique_ptr<evp_pkey_st, Free> key) : key_(std::move(key)) {}
RsaSigner::~RsaSigner() = default;
RsaSigner::RsaSigner(RsaSigner&&) noexcept = default;
RsaSigner& RsaSigner::operator=(RsaSigner&&) noexcept = default;

absl::StatusOr<RsaSigner> RsaSigner::FromPem(std::string_view pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  CHECK(in != nullptr, "a view of memory can be had");
  std::unique_ptr<evp_pkey_st, Free> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return Refused("is no private key in PEM (without passphrase)");
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return Refused("is no RSA key");
  if (EVP_PKEY_get_bits(key.get()) < kBitsMin) {
    return Refused("is an RSA key of fewer than 2048 bits");
  }
  return RsaSigner(std::move(key));
}

absl::StatusOr<std::string> RsaSigner::Sign(std::string_view message) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  std::string signature(static_cast<size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  size_t size = signature.size();
  const auto* data = reinterpret_cast<const unsigned char*>(message.data());
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                     message.size()) != 1) {
    return Refused("OpenSSL could not sign with this key");
  }
  signature.resize(size);
  return signature;
}

}  // namespace boxkeeper::base
