// Which pieces of a stream the store has (`plain` layout where the store cannot append).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "logs/object_store.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// Where the pieces <log_path>/<stream>.<16-digit place> begin, ascending. Any number of them.
boost::asio::awaitable<absl::StatusOr<std::vector<uint64_t>>> ListPieces(ObjectStore& store,
                                                                         std::string log_path,
                                                                         Stream stream);

}  // namespace boxkeeper::logs
