// `doctor`: what is wrong between here and the daemon, and what to do about it.
#pragma once

#include "cli/session.h"

namespace boxkeeper::cli {

// One line per check, OK, WARN or FAIL, with a hint where there is one. 1 if a check failed, else
// 0.
int Doctor(Session& session);

}  // namespace boxkeeper::cli
