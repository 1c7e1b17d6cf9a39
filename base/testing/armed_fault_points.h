// Switches for the fault points of base/fault_points.h. Linking this arms them.
#pragma once

#include <string>

namespace boxkeeper::base::testing {

// The one bug that is switched on from now on; "" = none. Not while other threads run.
void SetMutation(const std::string& name);

}  // namespace boxkeeper::base::testing
