#include "logs/stored_reader.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/layout_airflow.h"
#include "logs/layout_plain.h"
#include "logs/log_path.h"
#include "logs/piece_list.h"
#include "logs/tail_finder.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kMaxPlaces = 64;
constexpr size_t kMaxPieceLists = 8;
constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kTailBlock = 64 * 1024;
constexpr uint64_t kMaxTailLines = 1'000'000;

std::string LogName(const StoredLog& stored, Stream stream) {
  return absl::StrCat(AirflowPiecePrefix(stored.path, stored.generation),
                      std::string(StreamName(stream)));
}

}  // namespace

asio::awaitable<absl::StatusOr<LogChunk>> StoredReader::Read(LogSource source, Stream stream,
                                                             uint64_t offset, size_t max_bytes) {
  if (source.stored.layout != Layout::kAirflow) {
    co_return co_await ReadPlain(std::move(source), stream, offset, max_bytes);
  }
  co_return co_await ReadAirflow(std::move(source), stream, offset, max_bytes);
}

asio::awaitable<absl::StatusOr<uint64_t>> StoredReader::TailOffset(LogSource source, Stream stream,
                                                                   uint64_t lines) {
  if (source.stored.layout != Layout::kAirflow) {
    co_return co_await TailPlain(std::move(source), stream, lines);
  }
  co_return co_await TailAirflow(std::move(source), stream, lines);
}

asio::awaitable<absl::StatusOr<LogChunk>> StoredReader::ReadPlain(LogSource source, Stream stream,
                                                                  uint64_t offset,
                                                                  size_t max_bytes) {
  const Hole gap = source.stored.gap(stream);
  LogChunk chunk{.offset = offset};
  if (gap.from <= offset && offset < gap.to) {
    chunk.dropped_bytes = gap.to - offset;
    chunk.end = source.final_size && chunk.next() >= *source.final_size;
    co_return chunk;
  }
  if (source.final_size && offset >= *source.final_size) {
    chunk.end = true;
    co_return chunk;
  }
  if (offset < gap.from) max_bytes = std::min<uint64_t>(max_bytes, gap.from - offset);
  if (source.final_size) max_bytes = std::min<uint64_t>(max_bytes, *source.final_size - offset);
  auto data = co_await ReadStored(source.stored, stream, PlainPlace(gap, offset), max_bytes);
  CO_RETURN_IF_ERROR(data.status());
  const bool short_read = data->size() < max_bytes;
  chunk.data = *std::move(data);
  chunk.end = source.final_size ? chunk.next() >= *source.final_size || short_read
                                : source.stored.complete && short_read;
  co_return chunk;
}

asio::awaitable<absl::StatusOr<uint64_t>> StoredReader::TailPlain(LogSource source, Stream stream,
                                                                  uint64_t lines) {
  if (!source.final_size) {
    co_return absl::FailedPreconditionError("the log's end is not known");
  }
  if (lines == 0) co_return *source.final_size;
  const uint64_t end = *source.final_size;
  co_return co_await FreedTailOffset(std::move(source), stream, end, TailFinder(lines));
}

asio::awaitable<absl::StatusOr<uint64_t>> StoredReader::FreedTailOffset(LogSource source,
                                                                        Stream stream, uint64_t end,
                                                                        TailFinder finder) {
  const Hole gap = source.stored.gap(stream);
  while (end > 0) {
    if (gap.from < end && end <= gap.to) {
      end = gap.from;
      continue;
    }
    const uint64_t floor = !gap.empty() && end > gap.to ? gap.to : 0;
    const uint64_t begin = end - std::min<uint64_t>(end - floor, kTailBlock);
    auto block = co_await ReadStored(source.stored, stream, PlainPlace(gap, begin), end - begin);
    CO_RETURN_IF_ERROR(block.status());
    const auto found = finder.Feed(begin, *block);
    if (found) co_return *found;
    end = begin;
  }
  co_return uint64_t{0};
}

asio::awaitable<absl::StatusOr<std::string>> StoredReader::ReadStored(const StoredLog& stored,
                                                                      Stream stream, uint64_t place,
                                                                      size_t max_bytes) {
  if (stored.layout == Layout::kMetaflow || store_.can_append()) {
    co_return co_await store_.Read(PlainObjectName(stored.path, stream), place, max_bytes);
  }
  auto listed = co_await Pieces(stored, stream, place);
  CO_RETURN_IF_ERROR(listed.status());
  const std::vector<uint64_t>& begins = **listed;
  // The last piece that begins at or before `place`.
  auto piece = std::upper_bound(begins.begin(), begins.end(), place);
  if (piece == begins.begin()) {
    co_return absl::NotFoundError(PlainPieceName(stored.path, stream, place));
  }
  std::string data;
  for (--piece; piece != begins.end() && data.size() < max_bytes; ++piece) {
    const uint64_t at = place + data.size();
    auto next = std::next(piece);
    size_t wanted = max_bytes - data.size();
    if (next != begins.end()) wanted = std::min<uint64_t>(wanted, *next - at);
    auto part =
        co_await store_.Read(PlainPieceName(stored.path, stream, *piece), at - *piece, wanted);
    CO_RETURN_IF_ERROR(part.status());
    const bool gap = part->size() < wanted && next != begins.end();
    data += *part;
    if (gap) {
      co_return absl::DataLossError(absl::StrCat(PlainPieceName(stored.path, stream, *piece),
                                                 ": ends at ", place + data.size(),
                                                 ", the next piece begins at ", *next));
    }
  }
  co_return data;
}

asio::awaitable<absl::StatusOr<StoredReader::PieceBegins>> StoredReader::Pieces(
    const StoredLog& stored, Stream stream, uint64_t place) {
  // One that was listed while the log grew may lack its end.
  const std::string log = LogName(stored, stream) + (stored.complete ? "" : " growing");
  const auto known = std::find_if(piece_lists_.begin(), piece_lists_.end(),
                                  [&log](const auto& list) { return list.first == log; });
  if (known != piece_lists_.end()) {
    // While the log grows, new pieces come behind those that are known.
    const std::vector<uint64_t>& begins = *known->second;
    if (stored.complete || (!begins.empty() && place < begins.back())) co_return known->second;
  }
  auto listed = co_await ListPieces(store_, stored.path, stream);
  CO_RETURN_IF_ERROR(listed.status());
  auto begins = std::make_shared<const std::vector<uint64_t>>(*std::move(listed));
  piece_lists_.remove_if([&log](const auto& list) { return list.first == log; });
  piece_lists_.emplace_front(log, begins);
  if (piece_lists_.size() > kMaxPieceLists) piece_lists_.pop_back();
  co_return begins;
}

// Goes through an airflow log record by record, from a place on. One block and one line in memory.
class StoredReader::Scanner {
 public:
  Scanner(ObjectStore& store, const StoredLog& log, Stream stream, Place from)
      : store_(store), log_(log), stream_(stream), place_(std::move(from)), read_at_(place_.byte) {}

  asio::awaitable<absl::StatusOr<Found>> Next() {
    for (;;) {
      const size_t newline = buffer_.find('\n', searched_);
      if (newline != std::string::npos) co_return Take(newline);
      searched_ = buffer_.size();
      std::string name = AirflowPieceName(log_.path, log_.generation, place_.piece);
      auto block = co_await store_.Read(std::move(name), read_at_, kReadBytes);
      if (absl::IsNotFound(block.status())) {
        Found last{.after = place_, .end = true};
        if (place_.open) last.text = "\n";
        co_return last;
      }
      CO_RETURN_IF_ERROR(block.status());
      if (block->empty()) {
        ++place_.piece;
        place_.byte = read_at_ = 0;
        buffer_.clear();
        searched_ = 0;
        continue;
      }
      read_at_ += block->size();
      buffer_ += *block;
    }
  }

 private:
  Found Take(size_t newline) {
    AirflowTextReader reader(stream_, place_.open);
    Found found;
    found.text = reader.Feed(std::string_view(buffer_).substr(0, newline));
    buffer_.erase(0, newline + 1);
    searched_ = 0;
    place_.byte += newline + 1;
    place_.text_offset += found.text.size();
    place_.open = reader.open();
    found.after = place_;
    return found;
  }

  ObjectStore& store_;
  const StoredLog& log_;
  const Stream stream_;
  Place place_;
  uint64_t read_at_;
  std::string buffer_;
  size_t searched_ = 0;
};

asio::awaitable<absl::StatusOr<LogChunk>> StoredReader::ReadAirflow(LogSource source, Stream stream,
                                                                    uint64_t offset,
                                                                    size_t max_bytes) {
  LogChunk chunk{.offset = offset};
  Place place = FindPlace(LogName(source.stored, stream), offset);
  uint64_t at = place.text_offset;
  Scanner scanner(store_, source.stored, stream, place);
  while (chunk.data.size() < max_bytes) {
    auto found = co_await scanner.Next();
    CO_RETURN_IF_ERROR(found.status());
    if (found->end && !source.stored.complete) break;
    const uint64_t skip = std::min<uint64_t>(offset > at ? offset - at : 0, found->text.size());
    at += found->text.size();
    chunk.data.append(found->text, skip);
    if (found->end) {
      chunk.end = chunk.data.size() <= max_bytes;
      break;
    }
    if (at <= offset + max_bytes) place = found->after;
  }
  if (chunk.data.size() > max_bytes) chunk.data.resize(max_bytes);
  KeepPlace(std::move(place));
  co_return chunk;
}

asio::awaitable<absl::StatusOr<uint64_t>> StoredReader::TailAirflow(LogSource source, Stream stream,
                                                                    uint64_t lines) {
  lines = std::min(lines, kMaxTailLines);
  std::deque<uint64_t> begins{0};  // of the last lines
  uint64_t at = 0;
  Scanner scanner(store_, source.stored, stream, Place{});
  for (;;) {
    auto found = co_await scanner.Next();
    CO_RETURN_IF_ERROR(found.status());
    for (size_t i = found->text.find('\n'); i != std::string::npos;
         i = found->text.find('\n', i + 1)) {
      begins.push_back(at + i + 1);
      if (begins.size() > lines + 1) begins.pop_front();
    }
    at += found->text.size();
    if (found->end) break;
  }
  // What follows the last newline is a line only if there is something.
  if (begins.back() == at && begins.size() > 1) begins.pop_back();
  while (begins.size() > lines) begins.pop_front();
  co_return begins.empty() ? at : begins.front();
}

StoredReader::Place StoredReader::FindPlace(const std::string& log, uint64_t offset) const {
  Place best{.log = log};
  for (const Place& place : places_) {
    const bool usable = place.log == log && place.text_offset <= offset;
    if (usable && place.text_offset > best.text_offset) best = place;
  }
  return best;
}

void StoredReader::KeepPlace(Place place) {
  if (place.text_offset == 0) return;
  places_.push_front(std::move(place));
  if (places_.size() > kMaxPlaces) places_.pop_back();
}

}  // namespace boxkeeper::logs
