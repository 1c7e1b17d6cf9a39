// boxkeeperd --check_config --connect: is everything there that the configuration names?
#pragma once

#include <string>

#include "boxkeeper/config/v1/config.pb.h"

namespace boxkeeper::daemon {

// Reads certificates and tokens. Empty = good, else what is wrong, one line each.
std::vector<std::string> CheckSecurityFiles(const config::v1::Config& config);

// Opens every provider and checks that the log store can be written to, without touching tasks.
// Prints a line for each on stdout. True if all are there. Blocking, up to half a minute.
bool CheckConnections(const config::v1::Config& config, const std::string& launcher_path);

}  // namespace boxkeeper::daemon
