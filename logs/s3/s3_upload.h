// Objects of any size, in flat memory.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "logs/object_store.h"
#include "logs/s3/s3_client.h"

namespace boxkeeper::logs::s3 {

// What an object begins with before the piece's bytes.
struct Head {
  std::string bytes = {};  // sent
  // Copied within the storage: so many first bytes of the object as it is.
  uint64_t copied = 0;
};

// Stores head and piece as `key` ("bucket" for the source of copies), whole or not at all: in one
// request where all of it is sent and fits into `part_bytes`, else as an upload in parts that is
// aborted when it fails. `client` and what it needs outlive the call; pieces are read and hashed on
// `pool`.
boost::asio::awaitable<absl::Status> StoreObject(S3Client& client,
                                                 boost::asio::any_io_executor pool,
                                                 std::string bucket, std::string key, Head head,
                                                 Piece piece, uint64_t part_bytes);

}  // namespace boxkeeper::logs::s3
