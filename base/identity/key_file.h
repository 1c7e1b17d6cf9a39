// Files of 256-bit keys. One key per line:
//
//   # comment
//   <kid> <64 hex digits>
//
// The first key signs or seals; all verify or open. To rotate: put a new line in front, restart,
// and drop the old line when nothing signed by it is left. A kid is 1 to 32 of [A-Za-z0-9._-],
// beginning and ending with a letter or digit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "base/secret_string.h"

namespace boxkeeper::base {

struct Key {
  std::string kid;
  SecretString bytes;  // 32
};

// At least one. kInvalidArgument as `path:line: what` without any of the line's content.
absl::StatusOr<std::vector<Key>> ParseKeys(std::string_view text, const std::string& path);

absl::StatusOr<std::vector<Key>> ReadKeys(FileSystem& fs, const std::string& path);

// Writes one fresh key (0600, synced) and gives it back. The directory exists.
absl::StatusOr<std::vector<Key>> GenerateKeyFile(FileSystem& fs, Rng& rng, const std::string& path);

}  // namespace boxkeeper::base
