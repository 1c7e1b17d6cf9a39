// Paths that a large run must have taken, or it proves less than it says.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace boxkeeper::sim {

// Of all that are named, those with no hit.
std::vector<std::string> RarePathsMissed(const std::map<std::string, int64_t>& sometimes);

}  // namespace boxkeeper::sim
