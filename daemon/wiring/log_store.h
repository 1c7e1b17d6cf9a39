// The log store that the configuration names.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/config/v1/config.pb.h"
#include "logs/object_store.h"
#include "logs/stores/open_store.h"

namespace boxkeeper::daemon {

// Calls nobody yet: ObjectStore::Check says whether it can be reached and written. Errors name the
// key of the configuration and what to fix.
absl::StatusOr<std::unique_ptr<logs::ObjectStore>> MakeLogStore(const config::v1::Logs& section,
                                                                logs::StoreDeps deps);

// What to tell an operator whose configuration does not say where logs go; empty if it does.
std::string LocalLogsWarning(const config::v1::Config& config);

}  // namespace boxkeeper::daemon
