// A piece in blocks, as uploads in parts need it, checked against what was announced.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "logs/object_store.h"

namespace boxkeeper::logs::remote {

// Reads the piece once, from the beginning. The last block is given only when size and SHA-256 of
// the whole are those announced: who sends the last block after all others, or commits behind it,
// never stores anything else. Called on the loop, one call at a time; reads on `pool`.
class PieceReader {
 public:
  PieceReader(boost::asio::any_io_executor pool, const Piece& piece);

  // The next `size` bytes (at least 1); fewer only in the last block, "" behind it. kDataLoss if
  // the piece is not what was announced; errors of its source as they are.
  boost::asio::awaitable<absl::StatusOr<std::string>> Next(size_t size);

  // Bytes given so far.
  uint64_t position() const;

 private:
  struct State;
  const boost::asio::any_io_executor pool_;
  const std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::logs::remote
