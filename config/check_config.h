// What needs more than one key: paths, listeners, references between sections, ranges that depend
// on each other.
#pragma once

#include <vector>

#include "boxkeeper/config/v1/config.pb.h"
#include "config/value.h"

namespace boxkeeper::config {

// Makes every path absolute (against state_dir, which must be set and absolute) and fills logs.url.
void ResolvePaths(v1::Config* config, std::vector<Problem>* problems);

// Problems carry keys, no lines.
void CheckConfig(const v1::Config& config, bool check_files, std::vector<Problem>* problems);

}  // namespace boxkeeper::config
