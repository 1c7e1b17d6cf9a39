#include "logs/log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/freed_pieces.h"
#include "logs/spool_reader.h"
#include "logs/stored_reader.h"
#include "logs/tail_finder.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kTailBlock = 64 * 1024;

// What the spool has to say about an offset.
struct Spooled {
  LogChunk chunk;
  uint64_t freed_to = 0;  // > 0: nothing, for the store has what is before this
};

// Blocking. kNotFound if there is no such file.
absl::StatusOr<Spooled> ReadSpool(base::FileSystem& files, const LogSource& source, Stream stream,
                                  uint64_t offset, size_t max_bytes) {
  SpoolReader reader(files, source.spool, source.redactor);
  ASSIGN_OR_RETURN(SpoolSlice slice, reader.ReadAt(stream, offset, max_bytes, source.final_size));
  if (slice.file_size == 0) {
    ASSIGN_OR_RETURN(const bool exists, files.Exists(source.spool.path(stream)));
    if (!exists) return absl::NotFoundError(absl::StrCat(source.spool.path(stream), ": no spool"));
  }
  if (slice.freed) return Spooled{.chunk = {.offset = offset}, .freed_to = slice.freed_to};
  LogChunk chunk{.offset = offset, .data = std::move(slice.data)};
  if (slice.in_hole) {
    const uint64_t to =
        source.final_size ? std::min(slice.hole.to, *source.final_size) : slice.hole.to;
    chunk.dropped_bytes = to > offset ? to - offset : 0;
  }
  // A file that is shorter than it should be ends where it ends: nobody writes to it any more.
  chunk.end = source.final_size && chunk.next() >= std::min(*source.final_size, slice.file_size);
  return Spooled{.chunk = std::move(chunk)};
}

// A search for the last lines, from the end backwards.
struct TailSearch {
  TailFinder finder;
  std::optional<uint64_t> found = {};
  // Searched down to here; if nothing is found yet, what is before it was freed.
  uint64_t at = 0;
};

// Blocking. [from, to) backwards, block by block. `freed_to`: as the spool is now.
absl::Status FindBack(SpoolReader& reader, Stream stream, uint64_t from, uint64_t to,
                      uint64_t& freed_to, TailSearch& search) {
  search.at = std::min(search.at, to);
  while (!search.found && search.at > std::max(from, freed_to)) {
    const uint64_t end = search.at;
    const uint64_t begin = std::max(end - std::min<uint64_t>(end - from, kTailBlock), freed_to);
    ASSIGN_OR_RETURN(const SpoolSlice slice, reader.ReadAt(stream, begin, end - begin, to));
    freed_to = slice.freed_to;
    if (slice.freed) continue;  // just now
    search.found = search.finder.Feed(begin, slice.data);
    search.at = begin;
  }
  return absl::OkStatus();
}

// Blocking.
absl::StatusOr<TailSearch> FindTail(base::FileSystem& files, const LogSource& source, Stream stream,
                                    uint64_t lines) {
  SpoolReader reader(files, source.spool, nullptr);
  ASSIGN_OR_RETURN(const bool exists, files.Exists(source.spool.path(stream)));
  if (!exists) return absl::NotFoundError("no spool");
  ASSIGN_OR_RETURN(uint64_t size, reader.Size(stream));
  if (source.final_size) size = std::min(size, *source.final_size);
  TailSearch search{.finder = TailFinder(std::max<uint64_t>(lines, 1)), .at = size};
  if (lines == 0) {
    search.found = size;
    return search;
  }
  ASSIGN_OR_RETURN(const Hole hole, reader.ReadHole(stream));
  ASSIGN_OR_RETURN(uint64_t freed_to, reader.ReadFreed(stream));
  RETURN_IF_ERROR(FindBack(reader, stream, std::min(hole.to, size), size, freed_to, search));
  if (!search.found && !hole.empty() && hole.from >= freed_to) {
    RETURN_IF_ERROR(FindBack(reader, stream, 0, std::min(hole.from, size), freed_to, search));
  }
  if (!search.found && freed_to == 0) search.found = 0;
  search.at = std::min(search.at, freed_to);
  return search;
}

}  // namespace

class LogReader::Impl {
 public:
  explicit Impl(Deps d)
      : deps(std::move(d)), stored(deps.store), pieces(deps.files, deps.store, deps.pool) {}

  // The spool goes on at `freed_to`; what is before it is in the store, with the same offsets.
  asio::awaitable<absl::StatusOr<LogChunk>> ReadFreed(LogSource source, Stream stream,
                                                      uint64_t offset, size_t max_bytes,
                                                      uint64_t freed_to) {
    max_bytes = std::min<uint64_t>(max_bytes, freed_to - offset);
    const std::optional<uint64_t> final_size = source.final_size;
    absl::StatusOr<LogChunk> chunk = LogChunk{.offset = offset};
    if (source.stored.layout == Layout::kAirflow) {
      for (uint64_t at = offset; chunk->data.empty() && at < freed_to; at = chunk->next()) {
        chunk = co_await pieces.Read(source.spool, source.stored, stream, at, max_bytes);
        CO_RETURN_IF_ERROR(chunk.status());
      }
    } else {
      chunk = co_await stored.Read(std::move(source), stream, offset, max_bytes);
      CO_RETURN_IF_ERROR(chunk.status());
    }
    if (chunk->next() == offset) {
      co_return absl::DataLossError(
          absl::StrCat("the log store lacks ", std::string(StreamName(stream)), " at ", offset));
    }
    chunk->end = final_size && chunk->next() >= *final_size;
    co_return chunk;
  }

  Deps deps;
  StoredReader stored;
  FreedPieces pieces;
};

LogReader::LogReader(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}
LogReader::~LogReader() = default;

asio::awaitable<absl::StatusOr<LogChunk>> LogReader::Read(LogSource source, Stream stream,
                                                          uint64_t offset, size_t max_bytes) {
  auto impl = impl_;
  max_bytes = std::clamp<size_t>(max_bytes, 1, kMaxChunk);
  if (!source.spool_gone) {
    auto work = [impl, source, stream, offset, max_bytes] {
      return ReadSpool(impl->deps.files, source, stream, offset, max_bytes);
    };
    auto spooled = co_await base::RunOn(impl->deps.pool, std::move(work));
    if (spooled.ok() && spooled->freed_to > 0) {
      co_return co_await impl->ReadFreed(std::move(source), stream, offset, max_bytes,
                                         spooled->freed_to);
    }
    if (spooled.ok()) co_return std::move(spooled->chunk);
    if (!absl::IsNotFound(spooled.status())) co_return spooled.status();
    if (!source.stored.complete) {
      // Not begun, or its stream never had a byte.
      const bool ended = source.final_size.has_value();
      if (ended && *source.final_size > 0) co_return spooled.status();
      co_return LogChunk{.offset = offset, .end = ended};
    }
  }
  if (source.final_size == uint64_t{0}) co_return LogChunk{.offset = offset, .end = true};
  co_return co_await impl->stored.Read(std::move(source), stream, offset, max_bytes);
}

asio::awaitable<absl::StatusOr<uint64_t>> LogReader::TailOffset(LogSource source, Stream stream,
                                                                uint64_t lines) {
  auto impl = impl_;
  if (!source.spool_gone) {
    auto work = [impl, source, stream, lines] {
      return FindTail(impl->deps.files, source, stream, lines);
    };
    auto search = co_await base::RunOn(impl->deps.pool, std::move(work));
    if (search.ok() && search->found) co_return *search->found;
    if (search.ok() && source.stored.layout == Layout::kAirflow) {
      co_return co_await impl->pieces.TailOffset(source.spool, source.stored, stream, search->at,
                                                 search->finder);
    }
    if (search.ok()) {
      co_return co_await impl->stored.FreedTailOffset(std::move(source), stream, search->at,
                                                      search->finder);
    }
    if (!absl::IsNotFound(search.status())) co_return search.status();
    if (!source.stored.complete) co_return uint64_t{0};
  }
  if (source.final_size == uint64_t{0}) co_return uint64_t{0};
  co_return co_await impl->stored.TailOffset(std::move(source), stream, lines);
}

asio::awaitable<absl::StatusOr<uint64_t>> LogReader::SpooledBytes(SpoolFiles spool, Stream stream) {
  auto work = [impl = impl_, spool = std::move(spool), stream] {
    return SpoolReader(impl->deps.files, spool, nullptr).Size(stream);
  };
  co_return co_await base::RunOn(impl_->deps.pool, std::move(work));
}

}  // namespace boxkeeper::logs
