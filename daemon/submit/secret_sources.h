// Where a task's `secrets: {NAME: {env | file}}` are read: the daemon's environment and files, by
// allow-list.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/config/v1/config.pb.h"

namespace boxkeeper::daemon {

inline constexpr size_t kSecretFileBytesMax = 64 << 10;

// kPermissionDenied: not on the allow-list (secrets.allow_env, secrets.allow_files); nothing was
// looked at. kNotFound and others: allowed, but not there or not readable. No message carries a
// value. Thread-safe.
using SecretSource = std::function<absl::StatusOr<std::string>(const std::string& reference)>;

// The process's environment as it is at the call.
SecretSource MakeEnvSource(std::shared_ptr<const config::v1::Config> config);

// Regular files of at most kSecretFileBytesMax; one newline at the end is taken off. The reference
// must be on the list as written, and the file that is opened in the end, symbolic links resolved,
// must be on the (resolved) list too.
SecretSource MakeFileSource(std::shared_ptr<const config::v1::Config> config);

}  // namespace boxkeeper::daemon
