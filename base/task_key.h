// The one string form of a task's key, and its normal form. Two keys are the same key if and only
// if their KeyString is.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::base {

// With the defaults filled in: namespace "" -> "default", kind UNSPECIFIED -> COMMAND, index absent
// -> -1, try 0 -> 1.
v1::TaskKey NormalKey(const v1::TaskKey& key);

// namespace/KIND/group/run/name/index/try of the normal form, each component percent-encoded; an
// empty component is empty text, e.g. "default/COMMAND///job/-1/1". ParseKey(KeyString(k)) is
// NormalKey(k).
std::string KeyString(const v1::TaskKey& key);

// The inverse, in normal form. Empty namespace, kind, index and try stand for their defaults.
// Whether the key is acceptable (a name, say) is the daemon's to judge. kInvalidArgument says which
// component is wrong, and how.
absl::StatusOr<v1::TaskKey> ParseKey(std::string_view text);

// <namespace>/<group>/<run>/<name>/<index>/<try> for the log path; always six safe, non-empty file
// names: an empty component is "_", one that would be longer than 200 bytes encoded is cut there
// (so it need not be unique: a task's id follows it in the path).
std::string KeyPath(const v1::TaskKey& key);

}  // namespace boxkeeper::base
