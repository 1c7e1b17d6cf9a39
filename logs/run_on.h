// logs' name for base/run_on.h.
#pragma once

#include "base/run_on.h"

namespace boxkeeper::logs {

using base::RunOn;

}  // namespace boxkeeper::logs
