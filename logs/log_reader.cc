#include "logs/log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/run_on.h"
#include "logs/spool_reader.h"
#include "logs/stored_reader.h"
#include "logs/tail_finder.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kTailBlock = 64 * 1024;

// Blocking. kNotFound if there is no such file.
absl::StatusOr<LogChunk> ReadSpool(base::FileSystem& files, const LogSource& source, Stream stream,
                                   uint64_t offset, size_t max_bytes) {
  SpoolReader reader(files, source.spool, source.redactor);
  ASSIGN_OR_RETURN(SpoolSlice slice, reader.ReadAt(stream, offset, max_bytes, source.final_size));
  if (slice.file_size == 0) {
    ASSIGN_OR_RETURN(const bool exists, files.Exists(source.spool.path(stream)));
    if (!exists) return absl::NotFoundError(absl::StrCat(source.spool.path(stream), ": no spool"));
  }
  LogChunk chunk{.offset = offset, .data = std::move(slice.data)};
  if (slice.in_hole) {
    const uint64_t to =
        source.final_size ? std::min(slice.hole.to, *source.final_size) : slice.hole.to;
    chunk.dropped_bytes = to > offset ? to - offset : 0;
  }
  // A file that is shorter than it should be ends where it ends: nobody writes to it any more.
  chunk.end = source.final_size && chunk.next() >= std::min(*source.final_size, slice.file_size);
  return chunk;
}

// Blocking. [from, to) backwards, block by block.
absl::StatusOr<std::optional<uint64_t>> FindBack(SpoolReader& reader, Stream stream, uint64_t from,
                                                 uint64_t to, TailFinder& finder) {
  for (uint64_t end = to; end > from;) {
    const uint64_t begin = end - std::min<uint64_t>(end - from, kTailBlock);
    ASSIGN_OR_RETURN(const SpoolSlice slice, reader.ReadAt(stream, begin, end - begin, to));
    if (const auto found = finder.Feed(begin, slice.data)) return found;
    end = begin;
  }
  return std::nullopt;
}

// Blocking.
absl::StatusOr<uint64_t> FindTail(base::FileSystem& files, const LogSource& source, Stream stream,
                                  uint64_t lines) {
  SpoolReader reader(files, source.spool, nullptr);
  ASSIGN_OR_RETURN(const bool exists, files.Exists(source.spool.path(stream)));
  if (!exists) return absl::NotFoundError("no spool");
  ASSIGN_OR_RETURN(uint64_t size, reader.Size(stream));
  if (source.final_size) size = std::min(size, *source.final_size);
  if (lines == 0) return size;
  ASSIGN_OR_RETURN(const Hole hole, reader.ReadHole(stream));
  TailFinder finder(lines);
  ASSIGN_OR_RETURN(auto found, FindBack(reader, stream, std::min(hole.to, size), size, finder));
  if (!found && !hole.empty()) {
    ASSIGN_OR_RETURN(found, FindBack(reader, stream, 0, std::min(hole.from, size), finder));
  }
  return found.value_or(0);
}

}  // namespace

class LogReader::Impl {
 public:
  explicit Impl(Deps d) : deps(std::move(d)), stored(deps.store) {}
  Deps deps;
  StoredReader stored;
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
    auto chunk = co_await RunOn(impl->deps.pool, std::move(work));
    if (!absl::IsNotFound(chunk.status())) co_return chunk;
    if (!source.stored.complete) {
      // Not begun, or its stream never had a byte.
      const bool ended = source.final_size.has_value();
      if (ended && *source.final_size > 0) co_return chunk;
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
    auto offset = co_await RunOn(impl->deps.pool, std::move(work));
    if (!absl::IsNotFound(offset.status())) co_return offset;
    if (!source.stored.complete) co_return uint64_t{0};
  }
  if (source.final_size == uint64_t{0}) co_return uint64_t{0};
  co_return co_await impl->stored.TailOffset(std::move(source), stream, lines);
}

asio::awaitable<absl::StatusOr<uint64_t>> LogReader::SpooledBytes(SpoolFiles spool, Stream stream) {
  auto work = [impl = impl_, spool = std::move(spool), stream] {
    return SpoolReader(impl->deps.files, spool, nullptr).Size(stream);
  };
  co_return co_await RunOn(impl_->deps.pool, std::move(work));
}

}  // namespace boxkeeper::logs
