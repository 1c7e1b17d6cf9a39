#include "base/crypto/rsa_signer.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace boxkeeper::base {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string TextOf(BIO* out) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(out);
  return text;
}

std::string Pkcs8(EVP_PKEY* key, const char* passphrase = nullptr) {
  BIO* out = BIO_new(BIO_s_mem());
  const EVP_CIPHER* cipher = passphrase != nullptr ? EVP_aes_128_cbc() : nullptr;
  const int size = passphrase != nullptr ? static_cast<int>(strlen(passphrase)) : 0;
  EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(out, key, cipher, passphrase, size, nullptr, nullptr), 1);
  return TextOf(out);
}

std::string Pkcs1(EVP_PKEY* key) {
  BIO* out = BIO_new(BIO_s_mem());
  EXPECT_EQ(PEM_write_bio_PrivateKey_traditional(out, key, nullptr, nullptr, 0, nullptr, nullptr),
            1);
  return TextOf(out);
}

bool Verifies(EVP_PKEY* key, const std::string& message, const std::string& signature) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EXPECT_EQ(EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key), 1);
  const auto* bytes = [](const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }(signature);
  const bool good =
      EVP_DigestVerify(context, bytes, signature.size(),
                       reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
  EVP_MD_CTX_free(context);
  return good;
}

TEST(RsaSignerTest, SignsWhatThePublicKeyVerifies) {
  const Key key(EVP_RSA_gen(2048), EVP_PKEY_free);
  for (const std::string& pem : {Pkcs8(key.get()), Pkcs1(key.get())}) {
    auto signer = RsaSigner::FromPem(pem);
    ASSERT_TRUE(signer.ok()) << signer.status();
    const auto signature = signer->Sign("header.claims");
    ASSERT_TRUE(signature.ok()) << signature.status();
    EXPECT_EQ(signature->size(), 256u);
    EXPECT_TRUE(Verifies(key.get(), "header.claims", *signature));
    EXPECT_FALSE(Verifies(key.get(), "header.claimz", *signature));
  }
}

TEST(RsaSignerTest, RefusesOtherKeys) {
  const Key curve(EVP_EC_gen("P-256"), EVP_PKEY_free);
  EXPECT_TRUE(absl::IsInvalidArgument(RsaSigner::FromPem(Pkcs8(curve.get())).status()));
  const Key weak(EVP_RSA_gen(1024), EVP_PKEY_free);
  EXPECT_TRUE(absl::IsInvalidArgument(RsaSigner::FromPem(Pkcs8(weak.get())).status()));
  const Key key(EVP_RSA_gen(2048), EVP_PKEY_free);
  EXPECT_TRUE(absl::IsInvalidArgument(RsaSigner::FromPem(Pkcs8(key.get(), "secret")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(RsaSigner::FromPem("no key at all").status()));
}

}  // namespace
}  // namespace boxkeeper::base
