// Who this installation is at the providers: names and labels that only it can make.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/id128.h"
#include "base/rng.h"
#include "base/sha256.h"

namespace boxkeeper::base {

inline constexpr char kLabelDeployment[] = "boxkeeper.deployment";
inline constexpr char kLabelSandbox[] = "boxkeeper.sandbox";
inline constexpr char kLabelShard[] = "boxkeeper.shard";
inline constexpr char kLabelEpoch[] = "boxkeeper.epoch";
inline constexpr char kLabelBirth[] = "boxkeeper.birth";
inline constexpr char kLabelMac[] = "boxkeeper.mac";
inline constexpr char kLabelKid[] = "boxkeeper.kid";

struct DeploymentOptions {
  std::string state_dir;
  std::string id = {};  // configured; "" = the one in identity/id, generated at the first start
  std::string key_file = "identity/key";  // relative to state_dir, or absolute
};

// Which start of the daemon made a sandbox, and where in its journal the intent stands (ADR 0010).
struct Birth {
  uint64_t incarnation = 0;  // random, one per start; 0 = not known: of an older version
  int64_t position = 0;

  bool operator==(const Birth&) const = default;
};

// What a name or labels prove.
struct Verified {
  enum Kind {
    kForeign,    // not of this deployment, or not Boxkeeper's at all: never touch it
    kMalformed,  // says it is ours but proves nothing (forged, cut, unknown key): never touch it,
                 // tell somebody
    kOurs,
  };
  Kind kind = kForeign;
  SandboxId sandbox = {};  // the rest with kOurs only
  int32_t shard = 0;       // by labels only
  int64_t epoch = 0;       // by labels only
  Birth birth = {};        // by labels only
};

// Immutable and thread-safe after creation. Holds what is as good as the keys.
//
//   name    = "bk" + base32(tag, 4 bytes | sandbox id, 16 | MAC, 16): 60 characters of [a-z2-7]
//   tag     = the first bytes of SHA-256 over the deployment id: tells foreign names without a key
//   MAC     = HMAC-SHA-256, cut to 16 bytes, over length-prefixed fields (ADR 0004)
//   labels  = boxkeeper.{deployment, sandbox, shard, epoch, birth, mac, kid}; values up to 63 of
//   [A-Za-z0-9._-]; without `birth` in those of older versions
class Deployment {
 public:
  // Reads `<state_dir>/identity`, or makes it at the first start (id, key; 0700 and 0600, synced).
  // Blocking. kFailedPrecondition: the configured id is not the one this state directory was made
  // with, or the key is gone although the id is there (a new one would disown every sandbox;
  // restore it from the backup). kInvalidArgument: a malformed id or key file, by `file:line:
  // what`.
  static absl::StatusOr<std::unique_ptr<Deployment>> LoadOrCreate(FileSystem& fs, Rng& rng,
                                                                  const DeploymentOptions& options);

  const std::string& id() const { return id_; }

  std::string Name(const SandboxId& sandbox) const;
  std::map<std::string, std::string> Labels(const SandboxId& sandbox, std::string_view provider,
                                            int32_t shard, int64_t epoch, Birth birth = {}) const;

  Verified VerifyName(std::string_view name) const;
  // `provider` is the name of the provider that shows these labels: copied to another one they do
  // not verify.
  Verified Verify(const std::map<std::string, std::string>& labels,
                  std::string_view provider) const;

 private:
  struct SigningKey {
    std::string kid;
    HmacSha256 hmac;
  };

  Deployment(std::string id, std::vector<SigningKey> keys);
  std::string NameMac(const HmacSha256& hmac, const SandboxId& sandbox) const;
  std::string LabelMac(const HmacSha256& hmac, const SandboxId& sandbox, std::string_view provider,
                       int32_t shard, int64_t epoch, const std::string& birth) const;

  const std::string id_;
  const std::string tag_;
  const std::vector<SigningKey> keys_;
};

}  // namespace boxkeeper::base
