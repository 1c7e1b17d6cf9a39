// Files of this machine that the user named.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace boxkeeper::cli {

// The whole content; the message names the file and the reason. Refuses a directory, and more than
// `max_bytes` (a task's files must fit a submission of 1 MiB).
absl::StatusOr<std::string> ReadLocalFile(const std::string& path, size_t max_bytes = 8 << 20);

// Bytes. Refuses a directory.
absl::StatusOr<int64_t> LocalFileSize(const std::string& path);

// Permission bits, e.g. 0755.
absl::StatusOr<uint32_t> LocalFileMode(const std::string& path);

}  // namespace boxkeeper::cli
