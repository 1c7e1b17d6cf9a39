// The checks of a submission that need nothing but the submission.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "boxkeeper/v1/task.pb.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

inline constexpr size_t kItemBytesMax = 1 << 20;  // of one submission, encoded
inline constexpr size_t kViolationsMax = 100;     // told of one submission

// Adds every violation of `spec` but those of sandbox_override and of what secrets refer to. Paths
// are relative to the item
// ("command.argv.args[0]", "files[2].path", "secrets.TOKEN"); "task" is the item as a whole. A
// secret's value is in no text.
void ValidateTask(const v1::TaskSpec& spec, std::vector<providers::FieldViolation>* violations);

}  // namespace boxkeeper::daemon
