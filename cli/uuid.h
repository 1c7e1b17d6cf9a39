// Ids that this client chooses.
#pragma once

#include <string>

namespace boxkeeper::cli {

// A random UUID (version 4), for submission ids.
std::string NewUuid();

}  // namespace boxkeeper::cli
