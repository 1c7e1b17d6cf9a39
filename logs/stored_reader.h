// Reads one stream of a log out of the log store, when its spool is gone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "logs/log_reader.h"
#include "logs/object_store.h"
#include "logs/spool_files.h"
#include "logs/stored_log.h"
#include "logs/tail_finder.h"

namespace boxkeeper::logs {

// On the loop. The `airflow` layout has no offsets of its own, so places found while reading are
// remembered: a reader that goes on where it stopped costs what it reads.
class StoredReader {
 public:
  explicit StoredReader(ObjectStore& store) : store_(store) {}

  boost::asio::awaitable<absl::StatusOr<LogChunk>> Read(LogSource source, Stream stream,
                                                        uint64_t offset, size_t max_bytes);
  boost::asio::awaitable<absl::StatusOr<uint64_t>> TailOffset(LogSource source, Stream stream,
                                                              uint64_t lines);
  // Of a log whose spool has nothing before `end`: goes on with a search for the last lines there.
  boost::asio::awaitable<absl::StatusOr<uint64_t>> FreedTailOffset(LogSource source, Stream stream,
                                                                   uint64_t end, TailFinder finder);

 private:
  // A place between two records of an airflow log, and what the stream's text is up to there.
  struct Place {
    std::string log;  // which log, and which of its streams
    uint64_t text_offset = 0;
    int64_t piece = 0;
    uint64_t byte = 0;
    bool open = false;  // the text so far lacks its last newline
  };
  // A record and the text it adds.
  struct Found {
    std::string text = {};
    Place after = {};
    bool end = false;  // no record: the log ends here
  };
  class Scanner;
  using PieceBegins = std::shared_ptr<const std::vector<uint64_t>>;

  // Bytes of the stored stream at `place`, from the object or from the pieces; less than
  // `max_bytes` only at its end.
  boost::asio::awaitable<absl::StatusOr<std::string>> ReadStored(const StoredLog& stored,
                                                                 Stream stream, uint64_t place,
                                                                 size_t max_bytes);
  // Where the pieces begin; of a growing log at least those up to the one that has `place`.
  boost::asio::awaitable<absl::StatusOr<PieceBegins>> Pieces(const StoredLog& stored, Stream stream,
                                                             uint64_t place);
  boost::asio::awaitable<absl::StatusOr<LogChunk>> ReadPlain(LogSource source, Stream stream,
                                                             uint64_t offset, size_t max_bytes);
  boost::asio::awaitable<absl::StatusOr<LogChunk>> ReadAirflow(LogSource source, Stream stream,
                                                               uint64_t offset, size_t max_bytes);
  boost::asio::awaitable<absl::StatusOr<uint64_t>> TailPlain(LogSource source, Stream stream,
                                                             uint64_t lines);
  boost::asio::awaitable<absl::StatusOr<uint64_t>> TailAirflow(LogSource source, Stream stream,
                                                               uint64_t lines);
  Place FindPlace(const std::string& log, uint64_t offset) const;
  void KeepPlace(Place place);

  ObjectStore& store_;
  std::list<Place> places_;  // newest first, at most kMaxPlaces
  // By log; newest first.
  std::list<std::pair<std::string, PieceBegins>> piece_lists_;
};

}  // namespace boxkeeper::logs
