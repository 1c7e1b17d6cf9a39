// Why a task ended, in words.
#pragma once

#include <string>

#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::daemon {

// For the task's own log, e.g. "FAILED/OOM: its memory limit killed it (killed by signal 9)". A
// pure function of what is journalled with the end. Empty: the task succeeded.
std::string DescribeEnd(const store::v1::TaskStatus& status);

// OOM for REASON_OOM.
std::string ReasonWord(v1::Reason reason);

}  // namespace boxkeeper::daemon
