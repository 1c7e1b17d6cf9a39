// Reads what was freed of a spool out of the pieces of an `airflow` log, at the stream's offsets.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "logs/log_chunk.h"
#include "logs/object_store.h"
#include "logs/piece_map.h"
#include "logs/spool_files.h"
#include "logs/stored_log.h"
#include "logs/tail_finder.h"

namespace boxkeeper::logs {

// A piece tells the text of its lines, not their bytes: an invalid one is U+FFFD there, and of
// lines that were JSON records the stream is not known (it is taken to be the one that makes the
// lengths right, else stdout). Where the text of a piece is as long as the bytes that it has of the
// stream it is these bytes. Else it is stretched over their offsets, so that a reader who goes on
// at next() sees all of it once, in order, and what follows the piece at its right place.
//
// On the loop; the map is read on the pool. Memory is flat: a piece is read through for each chunk,
// from its begin.
class FreedPieces {
 public:
  FreedPieces(base::FileSystem& files, ObjectStore& store, boost::asio::any_io_executor pool)
      : files_(files), store_(store), pool_(std::move(pool)) {}

  // Up to `max_bytes` at `offset`, not beyond its piece.
  boost::asio::awaitable<absl::StatusOr<LogChunk>> Read(SpoolFiles spool, StoredLog stored,
                                                        Stream stream, uint64_t offset,
                                                        size_t max_bytes);
  // Goes on with a search for the last lines in what is before `end`.
  boost::asio::awaitable<absl::StatusOr<uint64_t>> TailOffset(SpoolFiles spool, StoredLog stored,
                                                              Stream stream, uint64_t end,
                                                              TailFinder finder);

 private:
  // How a piece's text lies over the stream's bytes.
  struct Shape {
    PieceRange range;
    uint64_t text[2] = {0, 0};
    bool records_are_stderr = false;  // those that were JSON already
    // In the text, for an offset, and back (the first that is not before it).
    uint64_t TextAt(Stream stream, uint64_t offset) const;
    uint64_t OffsetOf(Stream stream, uint64_t text_at) const;
  };
  class Lines;

  boost::asio::awaitable<absl::StatusOr<Shape>> ShapeAt(const SpoolFiles& spool,
                                                        const StoredLog& stored, Stream stream,
                                                        uint64_t offset);
  // [from, to) of the stream's text in the piece.
  boost::asio::awaitable<absl::StatusOr<std::string>> Text(const StoredLog& stored,
                                                           const Shape& shape, Stream stream,
                                                           uint64_t from, uint64_t to);

  base::FileSystem& files_;
  ObjectStore& store_;
  const boost::asio::any_io_executor pool_;
  std::list<std::pair<std::string, Shape>> shapes_;  // by piece; newest first
};

}  // namespace boxkeeper::logs
