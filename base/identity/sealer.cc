#include "base/identity/sealer.h"

#include <openssl/evp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace boxkeeper::base {
namespace {

constexpr char kVersion = 1;
constexpr size_t kKeyTagBytes = 4;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr size_t kHeaderBytes = 1 + kKeyTagBytes + kNonceBytes;

const EVP_CIPHER* Algorithm() {
  static const EVP_CIPHER* const algorithm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(algorithm != nullptr, "OpenSSL has AES-256-GCM");
  return algorithm;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(char* text) { return reinterpret_cast<unsigned char*>(text); }

std::string KeyTag(const Key& key) { return Sha256(key.bytes.view()).substr(0, kKeyTagBytes); }

std::string HashKey(const Key& key) {
  return HmacSha256(key.bytes.view()).Mac("boxkeeper.keyed-hash.v1");
}

// The header is authenticated too.
std::string WithHeader(std::string_view header, std::string_view associated) {
  return absl::StrCat(std::string(header), std::string(associated));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sealer>> Sealer::Create(FileSystem& fs, Rng& rng,
                                                       const SealerOptions& options) {
  ASSIGN_OR_RETURN(bool exists, fs.Exists(options.key_file));
  if (!exists && options.must_exist) {
    return absl::NotFoundError(absl::StrCat(options.key_file, ": the key for secrets is missing"));
  }
  if (!exists) RETURN_IF_ERROR(fs.MakeDirectories(ParentDirectory(options.key_file), 0700));
  auto keys = exists ? ReadKeys(fs, options.key_file) : GenerateKeyFile(fs, rng, options.key_file);
  RETURN_IF_ERROR(keys.status());
  return std::unique_ptr<Sealer>(new Sealer(rng, *std::move(keys)));
}

Sealer::Sealer(Rng& rng, std::vector<Key> keys)
    : rng_(rng), keys_(std::move(keys)), hash_(HashKey(keys_.back())) {}

std::string Sealer::Seal(std::string_view plaintext, std::string_view associated) const {
  const Key& key = keys_.front();
  std::string box(1, kVersion);
  box += KeyTag(key);
  {
    std::lock_guard lock(mutex_);
    Id128 random = rng_.NewId();
    box.append(reinterpret_cast<const char*>(random.bytes.data()), kNonceBytes);
  }
  const std::string bound = WithHeader(box, associated);
  const std::string nonce = box.substr(1 + kKeyTagBytes);
  box.resize(kHeaderBytes + plaintext.size() + kTagBytes);
  unsigned char* out = Bytes(box.data() + kHeaderBytes);

  Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  bool sealed = EVP_EncryptInit_ex2(context.get(), Algorithm(), Bytes(key.bytes.view()),
                                    Bytes(nonce), nullptr) == 1 &&
                EVP_EncryptUpdate(context.get(), nullptr, &size, Bytes(bound),
                                  static_cast<int>(bound.size())) == 1 &&
                EVP_EncryptUpdate(context.get(), out, &size, Bytes(plaintext),
                                  static_cast<int>(plaintext.size())) == 1 &&
                EVP_EncryptFinal_ex(context.get(), out + plaintext.size(), &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                                    out + plaintext.size()) == 1;
  CHECK(sealed, "encryption in memory does not fail");
  return box;
}

absl::StatusOr<SecretString> Sealer::Open(std::string_view box, std::string_view associated) const {
  if (box.size() < kHeaderBytes + kTagBytes || box.front() != kVersion) {
    return absl::DataLossError("not a sealed box");
  }
  const std::string_view key_tag = box.substr(1, kKeyTagBytes);
  const Key* key = nullptr;
  for (const Key& candidate : keys_) {
    if (KeyTag(candidate) == key_tag) key = &candidate;
  }
  if (key == nullptr) {
    return absl::NotFoundError("the key that sealed this box is not in the key file");
  }
  const std::string bound = WithHeader(box.substr(0, kHeaderBytes), associated);
  const std::string_view nonce = box.substr(1 + kKeyTagBytes, kNonceBytes);
  const std::string_view sealed = box.substr(kHeaderBytes, box.size() - kHeaderBytes - kTagBytes);
  std::string tag(box.substr(box.size() - kTagBytes));

  SecretString plaintext(sealed.size());
  Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  unsigned char rest[16];
  bool opened =
      EVP_DecryptInit_ex2(context.get(), Algorithm(), Bytes(key->bytes.view()), Bytes(nonce),
                          nullptr) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size, Bytes(bound),
                        static_cast<int>(bound.size())) == 1 &&
      EVP_DecryptUpdate(context.get(), Bytes(plaintext.data()), &size, Bytes(sealed),
                        static_cast<int>(sealed.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), rest, &size) == 1;
  if (!opened) return absl::DataLossError("a sealed box was changed or belongs elsewhere");
  return plaintext;
}

}  // namespace boxkeeper::base
