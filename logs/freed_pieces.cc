#include "logs/freed_pieces.h"

#include <algorithm>
#include <string_view>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/airflow_record.h"
#include "logs/log_path.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kTailBlock = 1024 * 1024;
constexpr size_t kMaxShapes = 64;

// `at` of `whole`, on the scale of `other`; rounded up or down.
uint64_t Scale(uint64_t at, uint64_t whole, uint64_t other, bool up) {
  if (whole == other || whole == 0) return std::min(at, other);
  const absl::uint128 product = absl::uint128(at) * other + (up ? whole - 1 : 0);
  return static_cast<uint64_t>(product / whole);
}

// The other parts of a long line do not.
bool BeginsLine(const RecordText& record) { return !record.stream || record.part <= 1; }

}  // namespace

// A piece's records, one after the other.
class FreedPieces::Lines {
 public:
  Lines(ObjectStore& store, std::string name) : store_(store), name_(std::move(name)) {}

  // Without a record: the end.
  asio::awaitable<absl::StatusOr<std::optional<RecordText>>> Next() {
    for (;;) {
      const size_t newline = buffer_.find('\n', searched_);
      if (newline != std::string::npos) {
        auto record = ParseRecordText(std::string_view(buffer_).substr(begin_, newline - begin_));
        begin_ = searched_ = newline + 1;
        if (record) co_return record;
        continue;
      }
      searched_ = buffer_.size() - begin_;
      buffer_.erase(0, std::exchange(begin_, 0));
      auto block = co_await store_.Read(name_, at_, kReadBytes);
      CO_RETURN_IF_ERROR(block.status());
      if (block->empty()) co_return std::nullopt;
      at_ += block->size();
      buffer_ += *block;
    }
  }

 private:
  ObjectStore& store_;
  const std::string name_;
  uint64_t at_ = 0;
  std::string buffer_;
  size_t begin_ = 0;  // of the line in progress
  size_t searched_ = 0;
};

uint64_t FreedPieces::Shape::TextAt(Stream stream, uint64_t offset) const {
  const auto s = static_cast<size_t>(stream);
  return Scale(offset - range.from[s], range.to[s] - range.from[s], text[s], /*up=*/false);
}

uint64_t FreedPieces::Shape::OffsetOf(Stream stream, uint64_t text_at) const {
  const auto s = static_cast<size_t>(stream);
  return range.from[s] + Scale(text_at, text[s], range.to[s] - range.from[s], /*up=*/true);
}

asio::awaitable<absl::StatusOr<FreedPieces::Shape>> FreedPieces::ShapeAt(const SpoolFiles& spool,
                                                                         const StoredLog& stored,
                                                                         Stream stream,
                                                                         uint64_t offset) {
  auto find = [files = &files_, spool, stream, offset] {
    return FindPiece(*files, spool, stream, offset);
  };
  auto range = co_await base::RunOn(pool_, std::move(find));
  CO_RETURN_IF_ERROR(range.status());
  const std::string name = AirflowPieceName(stored.path, stored.generation, range->piece);
  for (const auto& [known, shape] : shapes_) {
    if (known == name) co_return shape;
  }
  Shape shape{.range = *range};
  uint64_t records = 0;
  Lines lines(store_, name);
  for (;;) {
    auto line = co_await lines.Next();
    CO_RETURN_IF_ERROR(line.status());
    if (!*line) break;
    const RecordText& record = **line;
    // A line ends where the next one, or the piece, does.
    const uint64_t size = record.text.size() + (BeginsLine(record) ? 1 : 0);
    (record.stream ? shape.text[static_cast<size_t>(*record.stream)] : records) += size;
  }
  const uint64_t out = range->to[0] - range->from[0];
  const uint64_t err = range->to[1] - range->from[1];
  shape.records_are_stderr = shape.text[0] == out && shape.text[1] + records == err;
  shape.text[shape.records_are_stderr ? 1 : 0] += records;
  // The last line of a stream may lack its newline.
  if (shape.text[0] == out + 1) shape.text[0] = out;
  if (shape.text[1] == err + 1) shape.text[1] = err;
  shapes_.emplace_front(name, shape);
  if (shapes_.size() > kMaxShapes) shapes_.pop_back();
  co_return shape;
}

asio::awaitable<absl::StatusOr<std::string>> FreedPieces::Text(const StoredLog& stored,
                                                               const Shape& shape, Stream stream,
                                                               uint64_t from, uint64_t to) {
  const Stream of_records = shape.records_are_stderr ? Stream::kStderr : Stream::kStdout;
  Lines lines(store_, AirflowPieceName(stored.path, stored.generation, shape.range.piece));
  std::string text;
  uint64_t at = 0;
  const auto take = [&](std::string_view part) {
    const uint64_t skip = std::min<uint64_t>(from > at ? from - at : 0, part.size());
    at += part.size();
    text += part.substr(skip);
  };
  for (bool open = false; at < to;) {
    auto line = co_await lines.Next();
    CO_RETURN_IF_ERROR(line.status());
    if (!*line) {
      if (open) take("\n");
      break;
    }
    const RecordText& record = **line;
    if (record.stream.value_or(of_records) != stream) continue;
    if (open && BeginsLine(record)) take("\n");
    take(record.text);
    open = true;
  }
  if (text.size() > to - from) text.resize(to - from);
  co_return text;
}

asio::awaitable<absl::StatusOr<LogChunk>> FreedPieces::Read(SpoolFiles spool, StoredLog stored,
                                                            Stream stream, uint64_t offset,
                                                            size_t max_bytes) {
  auto shape = co_await ShapeAt(spool, stored, stream, offset);
  CO_RETURN_IF_ERROR(shape.status());
  const auto s = static_cast<size_t>(stream);
  const uint64_t bytes = shape->range.to[s] - shape->range.from[s];
  // Where the text is longer than the bytes, of fewer of them.
  const uint64_t most =
      std::max<uint64_t>(Scale(max_bytes, std::max(shape->text[s], bytes), bytes, /*up=*/false), 1);
  const uint64_t next = std::min(offset + most, shape->range.to[s]);
  auto text = co_await Text(stored, *shape, stream, shape->TextAt(stream, offset),
                            shape->TextAt(stream, next));
  CO_RETURN_IF_ERROR(text.status());
  co_return LogChunk{.offset = offset, .data = *std::move(text), .goes_on_at = next};
}

asio::awaitable<absl::StatusOr<uint64_t>> FreedPieces::TailOffset(SpoolFiles spool,
                                                                  StoredLog stored, Stream stream,
                                                                  uint64_t end, TailFinder finder) {
  while (end > 0) {
    auto shape = co_await ShapeAt(spool, stored, stream, end - 1);
    CO_RETURN_IF_ERROR(shape.status());
    for (uint64_t at = shape->TextAt(stream, end); at > 0;) {
      const uint64_t begin = at - std::min<uint64_t>(at, kTailBlock);
      auto block = co_await Text(stored, *shape, stream, begin, at);
      CO_RETURN_IF_ERROR(block.status());
      const auto found = finder.Feed(begin, *block);
      if (found) co_return shape->OffsetOf(stream, *found);
      at = begin;
    }
    end = shape->range.from[static_cast<size_t>(stream)];
  }
  co_return uint64_t{0};
}

}  // namespace boxkeeper::logs
