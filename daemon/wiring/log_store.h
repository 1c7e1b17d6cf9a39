// The log store that the configuration names.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "boxkeeper/config/v1/config.pb.h"
#include "logs/object_store.h"

namespace boxkeeper::daemon {

// They outlive the store.
struct LogStoreDeps {
  base::Clock& clock;
  base::Rng& rng;  // used on the loop
  base::FileSystem& files;
  boost::asio::any_io_executor loop;
  boost::asio::any_io_executor pool;  // of a thread_pool: for what blocks
};

// Calls nobody yet: ObjectStore::Check says whether it can be reached and written. Errors name the
// key of the configuration and what to fix.
absl::StatusOr<std::unique_ptr<logs::ObjectStore>> MakeLogStore(const config::v1::Logs& logs,
                                                                LogStoreDeps deps);

// What to tell an operator whose configuration does not say where logs go; empty if it does.
std::string LocalLogsWarning(const config::v1::Config& config);

}  // namespace boxkeeper::daemon
