#include "logs/unstored_reader.h"

#include <limits>
#include <utility>

#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/log_path.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kEnoughBytes = 32 * 1024;

// What one call renders.
struct Rendered {
  uint64_t indexed_bytes = 0;
  std::string text = {};
  bool more = false;
};

}  // namespace

void UnstoredPlace::Skip() {
  cursor = piece->after;
  offset += piece->size;
  piece.reset();
}

UnstoredPlace FindUnstored(const std::string& path, int64_t generation,
                           const std::vector<store::v1::LogRecord>& records) {
  UnstoredPlace place;
  for (const store::v1::LogRecord& record : records) {
    if (record.complete()) place.complete = true;
    if (record.complete() || record.dropped()) continue;
    place.piece.reset();
    if (record.confirmed()) {
      place.cursor = record.cursor_to();
      place.offset = static_cast<uint64_t>(record.to());
      continue;
    }
    place.cursor = record.cursor_from();
    place.offset = static_cast<uint64_t>(record.from());
    place.piece = PieceOnItsWay{.name = AirflowPieceName(path, generation, record.piece()),
                                .size = static_cast<uint64_t>(record.to() - record.from()),
                                .after = record.cursor_to()};
  }
  return place;
}

struct UnstoredReader::Rendering {
  Rendering(SpoolReader spool, const store::v1::LogCursor& from, AirflowRenderer::Input input)
      : reader(std::move(spool)), renderer(reader, from, input) {}

  // Blocking. An error comes after what could be rendered before it.
  absl::StatusOr<Rendered> Next() {
    RETURN_IF_ERROR(failed);
    Rendered next{.more = true};
    ASSIGN_OR_RETURN(next.indexed_bytes, reader.IndexBytes());
    while (next.more && next.text.size() < kEnoughBytes) {
      const absl::StatusOr<bool> more = renderer.Step(next.text);
      if (!more.ok()) failed = more.status();
      if (!more.ok() && next.text.empty()) return failed;
      if (!more.ok()) break;
      next.more = *more;
    }
    return next;
  }

  SpoolReader reader;
  AirflowRenderer renderer;
  absl::Status failed;
};

UnstoredReader::UnstoredReader(base::FileSystem& files, asio::any_io_executor pool,
                               UnstoredSource source, UnstoredPlace place)
    : files_(files),
      pool_(std::move(pool)),
      source_(std::move(source)),
      place_(std::move(place)),
      offset_(place_.offset) {}

UnstoredReader::~UnstoredReader() = default;

void UnstoredReader::Begin(const store::v1::LogCursor& cursor) {
  AirflowRenderer::Input input{.with_stdout = source_.with_stdout,
                               .with_stderr = source_.with_stderr,
                               .accepted_at_ms = source_.accepted_at_ms,
                               .target_bytes = std::numeric_limits<uint64_t>::max()};
  if (place_.piece) input.exact_bytes = place_.piece->size;
  if (ended_) {
    input.stdout_bytes = ended_->stdout_bytes;
    input.stderr_bytes = ended_->stderr_bytes;
    input.end_note = Redacted(ended_->note, source_.redactor.get());
  }
  rendering_ = std::make_shared<Rendering>(SpoolReader(files_, source_.spool, source_.redactor),
                                           cursor, input);
}

absl::Status UnstoredReader::EndPiece() {
  if (rendering_->renderer.bytes() != place_.piece->size) {
    return absl::AbortedError(place_.piece->name + " cannot be rendered again");
  }
  const store::v1::LogCursor after = std::exchange(place_.piece, std::nullopt)->after;
  Begin(after);
  return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<LogChunk>> UnstoredReader::Next(std::optional<UnstoredEnd> ended) {
  if (!rendering_) {
    ended_ = ended;
    Begin(place_.cursor);
  }
  LogChunk chunk{.offset = offset_};
  for (;;) {
    auto rendered =
        co_await base::RunOn(pool_, [rendering = rendering_] { return rendering->Next(); });
    if (!rendered.ok() && !chunk.data.empty()) co_return chunk;
    CO_RETURN_IF_ERROR(rendered.status());
    indexed_bytes_ = rendered->indexed_bytes;
    chunk.data += rendered->text;
    offset_ += rendered->text.size();
    if (rendered->more) {
      if (chunk.data.size() >= kEnoughBytes) co_return chunk;
    } else if (place_.piece) {
      absl::Status rest = EndPiece();
      CO_RETURN_IF_ERROR(rest);
    } else if (ended && !ended_) {
      // All that was finished before is rendered: the cursor stands between two lines.
      ended_ = ended;
      Begin(store::v1::LogCursor(rendering_->renderer.cursor()));
    } else {
      chunk.end = ended_.has_value();
      co_return chunk;
    }
  }
}

}  // namespace boxkeeper::logs
