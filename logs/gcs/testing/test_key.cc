#include "logs/gcs/testing/test_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <memory>

#include "base/check.h"

namespace boxkeeper::logs::gcs {
namespace {

EVP_PKEY* Key() {
  static EVP_PKEY* const key = EVP_RSA_gen(2048);
  CHECK(key != nullptr, "OpenSSL makes keys");
  return key;
}

std::string Pem() {
  const std::unique_ptr<BIO, int (*)(BIO*)> memory(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey(memory.get(), Key(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace

std::string TestKeyFile(const std::string& token_uri) {
  return boost::json::serialize(
      boost::json::object({{"type", "service_account"},
                           {"client_email", "boxkeeper@test.iam.gserviceaccount.com"},
                           {"private_key_id", "key-1"},
                           {"private_key", Pem()},
                           {"token_uri", token_uri}}));
}

bool IsSignedByTestKey(const std::string& message, const std::string& signature) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, Key()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

}  // namespace boxkeeper::logs::gcs
