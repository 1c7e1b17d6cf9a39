// The section `logs`: where logs go, and what belongs to that kind of store.
#pragma once

#include <string>

#include "boxkeeper/config/v1/config.pb.h"
#include "config/check_values.h"

namespace boxkeeper::config {

// Makes the credentials' paths absolute and fills the URL.
void ResolveLogs(const std::string& state_dir, v1::Logs* logs);

void CheckLogs(const v1::Logs& logs, bool check_files, Problems* problems);

}  // namespace boxkeeper::config
