#include "logs/ship_pieces.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/airflow_piece.h"
#include "logs/layout_plain.h"
#include "logs/log_path.h"
#include "logs/piece_list.h"
#include "logs/plain_piece.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kReadBytes = 1024 * 1024;
constexpr uint64_t kMaxPiece = 16 * 1024 * 1024;
constexpr uint64_t kMaxCut = 1024 * 1024 * 1024;
// A growing object is extended by at least this part of it, unless time presses: stores copy what
// there is.
constexpr uint64_t kGrowthPart = 4;
constexpr int kMaxNewCuts = 3;  // in one turn

// One stream of one log for one turn.
class PiecesTurn {
 public:
  PiecesTurn(const LogShipper::Deps& deps, TrackedLog& log, Stream stream, ShipTurn& turn)
      : deps_(deps),
        log_(log),
        stream_(stream),
        growing_(log.job.layout == Layout::kMetaflow),
        progress_(log.plain_of(stream)),
        final_size_(log.FinalSize(stream)),
        turn_(turn) {}

  // True when it stopped because `budget` is used up.
  asio::awaitable<absl::StatusOr<bool>> Run(uint64_t budget) {
    for (int new_cuts = 0; !log_.forgotten;) {
      if (!progress_.cut) {
        if (final_size_ && progress_.position >= *final_size_) break;
        if (turn_.stored_bytes >= budget) co_return true;
        auto cut = co_await Cut();
        CO_RETURN_IF_ERROR(cut.status());
        if (!*cut) break;
      }
      absl::Status stored = co_await Store();
      if (absl::IsDataLoss(stored)) {
        auto there = co_await HoldsPiece(deps_.store, Name(), growing_ ? Place() : 0, CutBytes(),
                                         progress_.cut->record.sha256());
        CO_RETURN_IF_ERROR(there.status());
        if (*there) stored = absl::OkStatus();
      }
      if (absl::IsDataLoss(stored) && ++new_cuts <= kMaxNewCuts) {
        base::LogWarning("log piece cannot be repeated, cutting it anew",
                         {{"task_id", log_.job.task.ToString()}, {"piece", progress_.pieces}});
        progress_.cut.reset();
        continue;
      }
      if (absl::IsOutOfRange(stored)) StartAnew();
      CO_RETURN_IF_ERROR(stored);
      absl::Status confirmed = co_await Confirm();
      CO_RETURN_IF_ERROR(confirmed);
    }
    co_return false;
  }

 private:
  // Where the next cut begins in the stored stream.
  uint64_t Place() const { return PlainPlace(progress_.gap, progress_.position); }
  std::string Name() const {
    return growing_ ? PlainObjectName(log_.job.path, stream_)
                    : PlainPieceName(log_.job.path, stream_, Place());
  }
  SpoolReader Reader() const { return {deps_.files, log_.job.spool, log_.job.redactor}; }

  // What is stored from `position` on: at the gap the marker, then what is behind the gap.
  PlainRange Range() const {
    PlainRange range{.stream = stream_, .from = progress_.position};
    const Hole& gap = progress_.gap;
    if (!gap.empty() && progress_.position == gap.from) {
      range.marker = PlainMarker(gap);
      range.from = gap.to;
    }
    range.to = range.from;
    return range;
  }
  PlainRange CutRange() const {
    PlainRange range = Range();
    range.to = static_cast<uint64_t>(progress_.cut->record.to());
    return range;
  }
  uint64_t CutBytes() const {
    const PlainRange range = CutRange();
    return range.marker.size() + range.to - range.from;
  }

  uint64_t MaxBytes() const {
    if (!growing_) return kMaxPiece;
    return std::clamp(progress_.position / kGrowthPart, kMaxPiece, kMaxCut);
  }

  // Journals the next cut; false if there is nothing to cut now.
  asio::awaitable<absl::StatusOr<bool>> Cut() {
    for (;;) {
      auto measured = co_await Measure();
      CO_RETURN_IF_ERROR(measured.status());
      const PlainMeasure& piece = **measured;
      const bool something = piece.taken() > 0 || !piece.range().marker.empty();
      if (something) {
        absl::Status journalled = co_await NoteCut(piece);
        CO_RETURN_IF_ERROR(journalled);
        co_return true;
      }
      if (piece.last().freed) {
        absl::Status passed = co_await PassFreed(deps_.journal, log_.job.generation, stream_,
                                                 piece.last().freed_to, progress_);
        CO_RETURN_IF_ERROR(passed);
        continue;
      }
      if (!final_size_) co_return false;
      if (!piece.last().in_hole) {
        co_return absl::DataLossError(absl::StrCat(Name(), ": the spool ends at ",
                                                   piece.last().file_size, " of ", *final_size_,
                                                   " bytes"));
      }
      absl::Status noted = co_await NoteGap(piece.last().hole);
      CO_RETURN_IF_ERROR(noted);
    }
  }

  asio::awaitable<absl::StatusOr<std::shared_ptr<PlainMeasure>>> Measure() {
    auto piece = std::make_shared<PlainMeasure>(Reader(), Range(), final_size_, progress_.hash);
    const uint64_t most = MaxBytes();
    // A job for each block: others use the pool too.
    for (bool more = true; more && piece->taken() < most;) {
      const uint64_t left = most - piece->taken();
      auto step = co_await base::RunOn(
          deps_.pool, [piece, left] { return piece->Step(std::min<uint64_t>(left, kReadBytes)); });
      CO_RETURN_IF_ERROR(step.status());
      more = *step;
    }
    if (piece->taken() > 0 || !piece->range().marker.empty()) {
      absl::Status finished = co_await base::RunOn(deps_.pool, [piece] { return piece->Finish(); });
      CO_RETURN_IF_ERROR(finished);
    }
    co_return piece;
  }

  asio::awaitable<absl::Status> NoteCut(const PlainMeasure& piece) {
    if (progress_.position == 0 && !growing_) {
      absl::Status removed = co_await RemovePiecesFrom(0);
      CO_RETURN_IF_ERROR(removed);
    }
    store::v1::LogRecord record;
    record.set_generation(log_.job.generation);
    record.set_stream(std::string(StreamName(stream_)));
    record.set_piece(progress_.pieces);
    record.set_from(static_cast<int64_t>(progress_.position));
    record.set_to(static_cast<int64_t>(piece.range().to));
    record.set_sha256(piece.sha256());
    if (progress_.hash) {
      record.set_hash_state_from(progress_.hash->State());
      record.set_hash_state_to(piece.stored_hash()->State());
    }
    absl::Status journalled = co_await deps_.journal.Record(record);
    CO_RETURN_IF_ERROR(journalled);
    base::Failpoint("piece.cut");
    turn_.redacted += piece.redacted();
    progress_.cut = std::make_unique<PendingCut>(PendingCut{std::move(record), piece.content()});
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Store() {
    Piece piece{.name = Name(), .size = CutBytes(), .sha256 = progress_.cut->record.sha256()};
    piece.open = progress_.cut->bytes ? TextOpener(progress_.cut->bytes)
                                      : PlainOpener(Reader(), CutRange(), final_size_);
    base::Failpoint("piece.before_put");
    absl::Status stored;
    if (growing_) {
      stored = co_await deps_.store.Extend(Place(), std::move(piece));
    } else {
      stored = co_await deps_.store.Put(std::move(piece));
    }
    base::Failpoint("piece.after_put");
    // Many logs may wait for a store that is down; their bytes are in the spool.
    if (!stored.ok()) progress_.cut->bytes.reset();
    co_return stored;
  }

  asio::awaitable<absl::Status> Confirm() {
    store::v1::LogRecord record = progress_.cut->record;
    record.set_confirmed(true);
    record.clear_hash_state_from();
    absl::Status journalled = co_await deps_.journal.Record(record);
    CO_RETURN_IF_ERROR(journalled);
    base::Failpoint("piece.confirmed");
    turn_.stored_bytes += static_cast<uint64_t>(record.to()) - progress_.position;
    ++turn_.pieces;
    ++progress_.pieces;
    progress_.GoTo(static_cast<uint64_t>(record.to()),
                   ResumableSha256::FromState(record.hash_state_to()));
    co_return absl::OkStatus();
  }

  // The stream is over and the next bytes are gone.
  asio::awaitable<absl::Status> NoteGap(Hole hole) {
    Hole gap{progress_.position, std::min(hole.to, *final_size_)};
    const bool grown = !progress_.gap.empty();
    if (grown) gap.from = progress_.gap.from;  // since it was passed: one gap takes all
    if (grown && !growing_) {
      // First: should the daemon die now, it comes here again.
      absl::Status removed = co_await RemovePiecesFrom(gap.from);
      CO_RETURN_IF_ERROR(removed);
    }
    absl::Status journalled =
        co_await deps_.journal.Record(GapRecord(log_.job.generation, stream_, gap));
    CO_RETURN_IF_ERROR(journalled);
    progress_.gap = gap;
    if (grown) progress_.GoTo(gap.from, std::nullopt);
    co_return absl::OkStatus();
  }

  // Pieces that an earlier task of the same path left, or that lie where others will.
  asio::awaitable<absl::Status> RemovePiecesFrom(uint64_t place) {
    // Nobody else's path: the default ones end so.
    if (place == 0 && log_.job.path.ends_with("/" + log_.job.task.ToString())) {
      co_return absl::OkStatus();
    }
    auto places = co_await ListPieces(deps_.store, log_.job.path, stream_);
    CO_RETURN_IF_ERROR(places.status());
    for (const uint64_t old : *places) {
      if (old < place) continue;
      absl::Status removed =
          co_await deps_.store.Remove(PlainPieceName(log_.job.path, stream_, old));
      CO_RETURN_IF_ERROR(removed);
    }
    co_return absl::OkStatus();
  }

  // Somebody cut or removed the object under us.
  void StartAnew() {
    progress_.GoTo(0, EmptyHash());
    progress_.gap = {};
    progress_.pieces = 0;
    progress_.anew = true;
  }

  const LogShipper::Deps& deps_;
  TrackedLog& log_;
  const Stream stream_;
  const bool growing_;
  PlainProgress& progress_;
  const std::optional<uint64_t> final_size_;
  ShipTurn& turn_;
};

}  // namespace

uint64_t GrowingFlushBytes(const TrackedLog& log) {
  uint64_t stored = 0;
  for (const Stream stream : log.job.streams) stored += log.plain_of(stream).position;
  return std::max(log.flush_bytes, stored / kGrowthPart);
}

asio::awaitable<absl::Status> ShipPieces(const LogShipper::Deps& deps,
                                         std::shared_ptr<TrackedLog> log, uint64_t budget,
                                         ShipTurn& turn) {
  const bool ended = log->end.has_value();
  bool more = false;
  for (const Stream stream : log->job.streams) {
    PiecesTurn part(deps, *log, stream, turn);
    auto stopped = co_await part.Run(budget);
    CO_RETURN_IF_ERROR(stopped.status());
    more = more || *stopped;
  }
  turn.more = more;
  turn.done = ended && !more;
  co_return absl::OkStatus();
}

}  // namespace boxkeeper::logs
