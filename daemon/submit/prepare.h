// Submissions -> prepared tasks: everything that can be checked without the core's state is checked
// here, on a gRPC thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/config/v1/config.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "daemon/submit/prepared_task.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

constexpr size_t kItemBytesMax = 1 << 20;

// Seals secret values and hashes them under a key that outlives the process. Thread-safe.
class SecretKeeper {
 public:
  virtual ~SecretKeeper() = default;
  // AES-256-GCM of `plaintext`, bound to `associated`.
  virtual std::string Seal(std::string_view plaintext, std::string_view associated) const = 0;
  // HMAC-SHA-256, 32 bytes: equal for equal values, tells nothing of the value.
  virtual std::string KeyedHash(std::string_view value) const = 0;
};

// Everything Prepare looks at besides the submission. Immutable; a reload makes a new one.
struct PrepareContext {
  std::shared_ptr<const config::v1::Config> config;
  const providers::ProviderRegistry* providers = nullptr;  // outlives every call; never changed
  const SecretKeeper* secrets = nullptr;                   // outlives every call
  // The value of a secret's reference whose name is on the allow-list. Thread-safe; may block on a
  // local file.
  std::function<absl::StatusOr<std::string>(const std::string& name)> read_env;
  std::function<absl::StatusOr<std::string>(const std::string& path)> read_file;
};

// The process's environment and files (regular ones of at most 64 KiB; symbolic links are resolved
// first and must lead to a file on the allow-list).
PrepareContext MakePrepareContext(std::shared_ptr<const config::v1::Config> config,
                                  const providers::ProviderRegistry& providers,
                                  const SecretKeeper& secrets);

// Validates all of `spec`; on any mistake the result carries every violation, with paths relative
// to the item
// ("command.argv.args[0]"). `submission_id` and `digest` are set even then, where the id is a UUID:
// a repeat of a task that was accepted under an older configuration can still be recognised. Pure,
// thread-safe; never throws.
PreparedTask Prepare(const v1::TaskSpec& spec, const PrepareContext& context);

}  // namespace boxkeeper::daemon
