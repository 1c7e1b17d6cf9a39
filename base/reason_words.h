// Why a task ended, in words for people: the same in boxctl and in a task's log.
#pragma once

#include <string_view>

#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::base {

// One clause, "its memory limit killed it", for reasons that say all by themselves; empty for those
// whose words are the provider's, or need a number.
std::string_view ReasonWords(v1::Reason reason);

}  // namespace boxkeeper::base
