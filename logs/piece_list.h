// Which pieces the store has.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "logs/object_store.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// `plain` layout where the store cannot append: where the pieces <log_path>/<stream>.<16-digit
// place> begin, ascending. Any number of them.
boost::asio::awaitable<absl::StatusOr<std::vector<uint64_t>>> ListPieces(ObjectStore& store,
                                                                         std::string log_path,
                                                                         Stream stream);

// True if what the object `name` has from `begin` on is these `size` bytes, and nothing behind
// them.
boost::asio::awaitable<absl::StatusOr<bool>> HoldsPiece(ObjectStore& store, std::string name,
                                                        uint64_t begin, uint64_t size,
                                                        std::string sha256);

}  // namespace boxkeeper::logs
