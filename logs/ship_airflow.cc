#include "logs/ship_airflow.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/airflow_piece.h"
#include "logs/log_path.h"
#include "logs/piece_list.h"
#include "logs/piece_map.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr char kMerged[] = "merged";
constexpr int kMaxNewCuts = 3;  // in one turn

class AirflowTurn {
 public:
  AirflowTurn(const LogShipper::Deps& deps, TrackedLog& log, uint64_t piece_bytes, ShipTurn& turn)
      : deps_(deps), log_(log), progress_(*log.airflow), piece_bytes_(piece_bytes), turn_(turn) {}

  asio::awaitable<absl::Status> Run(uint64_t budget) {
    uint64_t stored = 0;
    int new_cuts = 0;
    for (bool all_rendered = false; !all_rendered;) {
      if (log_.forgotten) co_return absl::OkStatus();
      if (stored >= budget) {
        turn_.more = true;
        co_return absl::OkStatus();
      }
      if (!progress_.cut) {
        auto cut = co_await Cut();
        CO_RETURN_IF_ERROR(cut.status());
        all_rendered = *cut;
        if (!progress_.cut) break;
      }
      const uint64_t size = CutBytes();
      absl::Status put = co_await Put();
      if (absl::IsDataLoss(put)) {
        auto there =
            co_await HoldsPiece(deps_.store, Name(), 0, size, progress_.cut->record.sha256());
        CO_RETURN_IF_ERROR(there.status());
        if (*there) put = absl::OkStatus();
      }
      if (absl::IsDataLoss(put) && ++new_cuts < kMaxNewCuts) {
        base::LogWarning("log piece cannot be repeated, cutting it anew",
                         {{"task_id", log_.job.task.ToString()}, {"piece", progress_.piece}});
        progress_.cut.reset();
        all_rendered = false;
        continue;
      }
      CO_RETURN_IF_ERROR(put);
      absl::Status confirmed = co_await Confirm();
      CO_RETURN_IF_ERROR(confirmed);
      stored += size;
    }
    turn_.done = log_.end.has_value() && ended_when_cut_;
    co_return absl::OkStatus();
  }

 private:
  uint64_t CutBytes() const {
    const store::v1::LogRecord& record = progress_.cut->record;
    return static_cast<uint64_t>(record.to() - record.from());
  }

  std::string Name() const {
    return AirflowPieceName(log_.job.path, log_.job.generation, progress_.piece);
  }

  AirflowRenderer::Input Input() const {
    AirflowRenderer::Input input{.with_stdout = log_.Wants(Stream::kStdout),
                                 .with_stderr = log_.Wants(Stream::kStderr),
                                 .stdout_bytes = log_.FinalSize(Stream::kStdout),
                                 .stderr_bytes = log_.FinalSize(Stream::kStderr),
                                 .end_note = log_.end ? log_.end->note : nullptr,
                                 .accepted_at_ms = log_.job.accepted_at_ms,
                                 .target_bytes = piece_bytes_};
    return input;
  }

  SpoolReader Reader() const { return {deps_.files, log_.job.spool, log_.job.redactor}; }

  // Journals the next cut, if there is something to cut. True if nothing is left behind it.
  asio::awaitable<absl::StatusOr<bool>> Cut() {
    AirflowRenderer::Input input = Input();
    input.now_ms = absl::ToUnixMillis(deps_.clock.Now());
    ended_when_cut_ = log_.end.has_value();
    auto hash = std::make_shared<StoredHash>(progress_.hash);
    auto render = [reader = Reader(), from = progress_.cursor, input,
                   hash]() mutable -> absl::StatusOr<AirflowCut> {
      ASSIGN_OR_RETURN(AirflowCut cut, CutPiece(reader, from, input, *hash ? &**hash : nullptr));
      if (cut.size > 0) RETURN_IF_ERROR(reader.Sync());
      return cut;
    };
    auto cut = co_await base::RunOn(deps_.pool, std::move(render));
    CO_RETURN_IF_ERROR(cut.status());
    if (cut->size == 0) {
      progress_.cursor = std::move(cut->to);
      co_return true;
    }
    turn_.redacted += cut->redacted;
    store::v1::LogRecord record;
    record.set_generation(log_.job.generation);
    record.set_stream(kMerged);
    record.set_piece(progress_.piece);
    record.set_from(static_cast<int64_t>(progress_.rendered));
    record.set_to(static_cast<int64_t>(progress_.rendered + cut->size));
    record.set_sha256(cut->sha256);
    *record.mutable_cursor_from() = progress_.cursor;
    *record.mutable_cursor_to() = cut->to;
    if (progress_.hash) record.set_hash_state_from(progress_.hash->State());
    if (*hash) record.set_hash_state_to((*hash)->State());
    absl::Status journalled = co_await deps_.journal.Record(record);
    CO_RETURN_IF_ERROR(journalled);
    base::Failpoint("piece.cut");
    progress_.cut = std::make_unique<PendingCut>(PendingCut{record, std::move(cut->content)});
    co_return cut->all_rendered;
  }

  asio::awaitable<absl::Status> Put() {
    const store::v1::LogRecord& cut = progress_.cut->record;
    AirflowRenderer::Input input = Input();
    input.exact_bytes = CutBytes();
    Piece piece{.name = Name(), .size = CutBytes(), .sha256 = cut.sha256()};
    piece.open = PieceOpener(Reader(), cut.cursor_from(), input, progress_.cut->bytes);
    base::Failpoint("piece.before_put");
    absl::Status put = co_await deps_.store.Put(std::move(piece));
    base::Failpoint("piece.after_put");
    // Many logs may wait for a store that is down; their bytes are in the spool.
    if (!put.ok()) progress_.cut->bytes.reset();
    // The renderer says so when bytes of the piece were dropped meanwhile.
    if (absl::IsAborted(put)) put = absl::DataLossError(std::string(put.message()));
    co_return put;
  }

  asio::awaitable<absl::Status> Confirm() {
    store::v1::LogRecord record = progress_.cut->record;
    record.set_confirmed(true);
    record.clear_hash_state_from();
    co_await NoteEnds(record);
    absl::Status journalled = co_await deps_.journal.Record(record);
    CO_RETURN_IF_ERROR(journalled);
    base::Failpoint("piece.confirmed");
    const store::v1::LogCursor& from = record.cursor_from();
    const store::v1::LogCursor& to = record.cursor_to();
    turn_.stored_bytes += static_cast<uint64_t>(to.stdout_line() - from.stdout_line() +
                                                to.stderr_line() - from.stderr_line());
    ++turn_.pieces;
    progress_.rendered = static_cast<uint64_t>(record.to());
    progress_.hash = ResumableSha256::FromState(record.hash_state_to());
    progress_.cursor = to;
    ++progress_.piece;
    progress_.cut.reset();
    co_return absl::OkStatus();
  }

  // Before the confirmation, so that the map lacks none; for what is freed of the spool.
  asio::awaitable<void> NoteEnds(const store::v1::LogRecord& record) {
    const std::array<uint64_t, 2> ends{static_cast<uint64_t>(record.cursor_to().stdout_line()),
                                       static_cast<uint64_t>(record.cursor_to().stderr_line())};
    auto note = [files = &deps_.files, spool = log_.job.spool, piece = record.piece(), ends,
                 create = log_.job.frees_stored] {
      return NotePiece(*files, spool, piece, ends, create);
    };
    const absl::Status noted = co_await base::RunOn(deps_.pool, std::move(note));
    // Without it the spool stays whole, which is no reason not to store.
    log_.cannot_free = log_.cannot_free || !noted.ok();
  }

  const LogShipper::Deps& deps_;
  TrackedLog& log_;
  AirflowProgress& progress_;
  const uint64_t piece_bytes_;
  ShipTurn& turn_;
  bool ended_when_cut_ = false;
};

}  // namespace

asio::awaitable<absl::Status> ShipAirflow(const LogShipper::Deps& deps,
                                          std::shared_ptr<TrackedLog> log, uint64_t budget,
                                          uint64_t piece_bytes, ShipTurn& turn) {
  AirflowTurn work(deps, *log, piece_bytes, turn);
  co_return co_await work.Run(budget);
}

}  // namespace boxkeeper::logs
