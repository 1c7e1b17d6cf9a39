// A configuration written down as a YAML file that reads back equal.
#pragma once

#include <string>

#include "boxkeeper/config/v1/config.pb.h"

namespace boxkeeper::fuzz {

// Every key of config/schema.h with its value, strings in quotes. `config` is a validated one.
std::string ConfigText(const config::v1::Config& config);

}  // namespace boxkeeper::fuzz
