// Secrets at rest: AES-256-GCM under a key outside the store.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/identity/key_file.h"
#include "base/rng.h"
#include "base/secret_string.h"
#include "base/sha256.h"

namespace boxkeeper::base {

struct SealerOptions {
  std::string key_file;  // absolute; generated if missing, unless `must_exist`
  // For a key that somebody else provides, such as a systemd credential
  // ($CREDENTIALS_DIRECTORY/boxkeeper.seal): its absence is then kNotFound.
  bool must_exist = false;
};

// A box, which may be stored anywhere:
//
//   version 1 (1 byte) | key: first 4 bytes of SHA-256 over the key | nonce (12) | ciphertext | tag
//   (16)
//
// Nonces are random: one key is good for 2^32 boxes (NIST SP 800-38D, 8.3). Thread-safe.
class Sealer {
 public:
  // Key file format: key_file.h; the first key seals, all open. Blocking. `rng` outlives it and is
  // not used by others meanwhile on other threads.
  static absl::StatusOr<std::unique_ptr<Sealer>> Create(FileSystem& fs, Rng& rng,
                                                        const SealerOptions& options);

  // `associated` is not stored: Open needs the same.
  std::string Seal(std::string_view plaintext, std::string_view associated) const;

  // kDataLoss if `box` is not what Seal gave, was changed, or belongs to other `associated`;
  // kNotFound if its key is not in the file any more.
  absl::StatusOr<SecretString> Open(std::string_view box, std::string_view associated) const;

  // HMAC-SHA-256, 32 bytes, under a key derived from the *last* key of the file, so that a new key
  // put in front changes no digest: equal for equal values, tells nothing of the value.
  std::string KeyedHash(std::string_view value) const { return hash_.Mac(value); }

 private:
  Sealer(Rng& rng, std::vector<Key> keys);

  mutable std::mutex mutex_;
  Rng& rng_;
  const std::vector<Key> keys_;
  const HmacSha256 hash_;
};

}  // namespace boxkeeper::base
