// Names of what the log store holds: the base URL and the paths below it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id128.h"
#include "boxkeeper/v1/task.pb.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// `file:///absolute/path`: the path, taken literally (no percent-decoding), without trailing
// slashes. kInvalidArgument says what is allowed.
absl::StatusOr<std::string> ParseFileUrl(std::string_view url);

// <namespace>/<group>/<run>/<name>/<index>/<try>/<task id>, each component a safe file name.
std::string DefaultLogPath(const v1::TaskKey& key, const base::TaskId& task);

// Is a user's `log.path` acceptable? Relative, 1 to 1024 bytes of UTF-8 without control characters;
// components of 1 to 220 bytes (a suffix of ours must still fit), none of them "." or "..", the
// first not "_boxkeeper" (ours). kInvalidArgument with the words for the field's violation.
absl::Status ValidateLogPath(std::string_view path);

// `plain`: <path>/<stream>
std::string PlainObjectName(std::string_view log_path, Stream stream);
// `plain` where the store cannot append: <path>/<stream>.<offset, 16 digits>
std::string PlainPieceName(std::string_view log_path, Stream stream, uint64_t offset);
// `airflow`: <path>.<generation, 16 digits>.<piece, 8 digits>
std::string AirflowPieceName(std::string_view log_path, int64_t generation, int64_t piece);
// Common prefix of one generation's pieces, with the last dot.
std::string AirflowPiecePrefix(std::string_view log_path, int64_t generation);
// _boxkeeper/<task id>/exit.json
std::string ExitRecordName(const base::TaskId& task);

}  // namespace boxkeeper::logs
