// What the checks of several sections need.
#pragma once

#include <string>
#include <vector>

#include "config/value.h"

namespace boxkeeper::config {

using Problems = std::vector<Problem>;

void Add(Problems* problems, std::string key, std::string message);

bool IsAbsolute(const std::string& path);
// `path`, if relative below `state_dir`; an empty one stays empty.
std::string Absolute(const std::string& state_dir, const std::string& path);

// A problem unless `path` is empty or a file that can be read.
void CheckReadable(const std::string& path, const std::string& key, Problems* problems);

}  // namespace boxkeeper::config
