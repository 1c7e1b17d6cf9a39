#include "logs/ship_plain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/layout_plain.h"
#include "logs/log_path.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kReadBytes = 1024 * 1024;
// A crash repeats at most this much of a stream.
constexpr uint64_t kConfirmBytes = 64 * 1024 * 1024;

// One stream of one log for one turn.
class PlainTurn {
 public:
  PlainTurn(const LogShipper::Deps& deps, TrackedLog& log, Stream stream, ShipTurn& turn)
      : deps_(deps),
        log_(log),
        stream_(stream),
        progress_(log.plain_of(stream)),
        final_size_(log.FinalSize(stream)),
        name_(PlainObjectName(log.job.path, stream)),
        turn_(turn) {}

  // True when it stopped because `budget` is used up.
  asio::awaitable<absl::StatusOr<bool>> Run(uint64_t budget) {
    for (;;) {
      if (log_.forgotten) break;
      if (AtEnd()) {
        if (!log_.end->unattested) break;
        auto taken = co_await TakeOver();
        CO_RETURN_IF_ERROR(taken.status());
        if (!*taken) break;
        continue;
      }
      if (turn_.stored_bytes >= budget) {
        absl::Status confirmed = co_await ConfirmForRoom();
        CO_RETURN_IF_ERROR(confirmed);
        co_return true;
      }
      auto stepped = co_await Step();
      if (absl::IsOutOfRange(stepped.status())) StartAnew();
      CO_RETURN_IF_ERROR(stepped.status());
      if (!*stepped) break;
      if (progress_.position - progress_.confirmed >= kConfirmBytes) {
        absl::Status confirmed = co_await Confirm();
        CO_RETURN_IF_ERROR(confirmed);
      }
    }
    absl::Status confirmed = co_await ConfirmForRoom();
    CO_RETURN_IF_ERROR(confirmed);
    co_return false;
  }

  // Makes all that was written durable; at the end of the stream.
  asio::awaitable<absl::Status> Finish() {
    if (progress_.position == 0) {
      const bool may_be_there = log_.end->unattested || !log_.lost.empty();
      if (may_be_there) co_return co_await deps_.store.Remove(name_);
      co_return absl::OkStatus();
    }
    absl::Status synced = co_await deps_.store.Sync(name_, Place());
    base::Failpoint("log.after_sync");
    if (!synced.ok()) StartAgain(synced);
    co_return synced;
  }

 private:
  bool AtEnd() const { return final_size_ && progress_.position >= *final_size_; }
  uint64_t Place() const { return PlainPlace(progress_.gap, progress_.position); }

  // Ships one block, or passes the gap; false if there is nothing to do now.
  asio::awaitable<absl::StatusOr<bool>> Step() {
    const Hole gap = progress_.gap;
    if (!gap.empty() && progress_.position == gap.from) {
      absl::Status marked = co_await deps_.store.WriteAt(name_, gap.from, PlainMarker(gap));
      CO_RETURN_IF_ERROR(marked);
      progress_.position = gap.to;
      if (progress_.hash) progress_.hash->Update(PlainMarker(gap));
      co_return true;
    }
    auto hash = std::make_shared<StoredHash>(progress_.hash);
    auto read = [files = &deps_.files, spool = log_.job.spool, redactor = log_.job.redactor,
                 stream = stream_, position = progress_.position, final_size = final_size_,
                 hash]() -> absl::StatusOr<SpoolSlice> {
      SpoolReader reader(*files, spool, redactor);
      ASSIGN_OR_RETURN(SpoolSlice slice, reader.ReadAt(stream, position, kReadBytes, final_size));
      if (*hash) (*hash)->Update(slice.data);
      return slice;
    };
    auto slice = co_await base::RunOn(deps_.pool, std::move(read));
    CO_RETURN_IF_ERROR(slice.status());
    if (slice->freed) {
      absl::Status passed = co_await PassFreed(deps_.journal, log_.job.generation, stream_,
                                               slice->freed_to, progress_);
      CO_RETURN_IF_ERROR(passed);
      co_return true;
    }
    if (!final_size_ && !slice->hole.empty() && progress_.position >= slice->hole.from) {
      co_return false;
    }
    if (slice->in_hole) {
      absl::Status noted = co_await NoteGap(slice->hole);
      CO_RETURN_IF_ERROR(noted);
      co_return true;
    }
    if (slice->data.empty()) {
      if (!final_size_) co_return false;
      auto taken = co_await TakeOver();
      CO_RETURN_IF_ERROR(taken.status());
      if (*taken) co_return true;
      co_return absl::DataLossError(absl::StrCat(name_, ": the spool ends at ", slice->file_size,
                                                 " of ", *final_size_, " bytes"));
    }
    const uint64_t size = slice->data.size();
    turn_.redacted += slice->redacted;
    base::Failpoint("log.before_write");
    absl::Status written = co_await deps_.store.WriteAt(name_, Place(), std::move(slice->data));
    CO_RETURN_IF_ERROR(written);
    base::Failpoint("log.after_write");
    progress_.position += size;
    progress_.hash = *hash;
    turn_.stored_bytes += size;
    co_return true;
  }

  // The spool has no more of the ended stream, but the store may: what an earlier life of the
  // daemon wrote, and a power cut took from the spool before it was confirmed. True if there was
  // some. Not from a NUL on: so blocks look that did not reach the store's disk.
  asio::awaitable<absl::StatusOr<bool>> TakeOver() {
    if (!progress_.gap.empty() && progress_.position < progress_.gap.to) co_return false;
    uint64_t wanted = kReadBytes;
    if (!AtEnd()) wanted = std::min<uint64_t>(wanted, *final_size_ - progress_.position);
    auto data = co_await deps_.store.Read(name_, Place(), wanted);
    if (absl::IsNotFound(data.status())) co_return false;
    CO_RETURN_IF_ERROR(data.status());
    data->resize(std::min(data->find('\0'), data->size()));
    progress_.position += data->size();
    if (progress_.hash) progress_.hash->Update(*data);
    co_return !data->empty();
  }

  // The stream is over and the next bytes are gone.
  asio::awaitable<absl::Status> NoteGap(Hole hole) {
    const uint64_t to = std::min(hole.to, *final_size_);
    Hole gap{progress_.position, to};
    if (progress_.gap.empty()) {
      absl::Status confirmed = co_await Confirm();
      CO_RETURN_IF_ERROR(confirmed);
    } else {
      gap.from = progress_.gap.from;  // it has grown since it was passed: one gap takes all
    }
    absl::Status journalled =
        co_await deps_.journal.Record(GapRecord(log_.job.generation, stream_, gap));
    CO_RETURN_IF_ERROR(journalled);
    if (progress_.position != gap.from) progress_.GoTo(gap.from, std::nullopt);
    progress_.gap = gap;
    co_return absl::OkStatus();
  }

  // What is not confirmed cannot be freed.
  asio::awaitable<absl::Status> ConfirmForRoom() {
    if (!log_.RoomIsDue(stream_)) co_return absl::OkStatus();
    co_return co_await Confirm();
  }

  asio::awaitable<absl::Status> Confirm() {
    if (progress_.position == progress_.confirmed) co_return absl::OkStatus();
    absl::Status synced = co_await deps_.store.Sync(name_, Place());
    if (!synced.ok()) {
      StartAgain(synced);
      co_return synced;
    }
    store::v1::LogRecord record;
    record.set_generation(log_.job.generation);
    record.set_stream(std::string(StreamName(stream_)));
    record.set_to(static_cast<int64_t>(progress_.position));
    record.set_confirmed(true);
    if (progress_.hash) record.set_hash_state_to(progress_.hash->State());
    absl::Status journalled = co_await deps_.journal.Record(std::move(record));
    CO_RETURN_IF_ERROR(journalled);
    progress_.confirmed = progress_.position;
    progress_.confirmed_hash = progress_.hash;
    co_return absl::OkStatus();
  }

  // After a failed Sync nobody knows what is durable: go back to what was confirmed.
  void StartAgain(const absl::Status& status) {
    progress_.GoTo(progress_.confirmed, progress_.confirmed_hash);
    if (absl::IsOutOfRange(status)) StartAnew();
  }

  // Somebody cut or removed the object under us.
  void StartAnew() {
    progress_.GoTo(0, EmptyHash());
    progress_.gap = {};
    progress_.anew = true;
  }

  const LogShipper::Deps& deps_;
  TrackedLog& log_;
  const Stream stream_;
  PlainProgress& progress_;
  const std::optional<uint64_t> final_size_;
  const std::string name_;
  ShipTurn& turn_;
};

}  // namespace

store::v1::LogRecord GapRecord(int64_t generation, Stream stream, Hole gap) {
  store::v1::LogRecord record;
  record.set_generation(generation);
  record.set_stream(std::string(StreamName(stream)));
  record.set_from(static_cast<int64_t>(gap.from));
  record.set_to(static_cast<int64_t>(gap.to));
  record.set_dropped(true);
  return record;
}

asio::awaitable<absl::Status> PassFreed(LogJournal& journal, int64_t generation, Stream stream,
                                        uint64_t to, PlainProgress& progress) {
  if (!progress.anew) {  // the journal is older than the spool: it was restored
    progress.GoTo(to, std::nullopt);
    co_return absl::OkStatus();
  }
  absl::Status journalled = co_await journal.Record(GapRecord(generation, stream, {0, to}));
  CO_RETURN_IF_ERROR(journalled);
  progress.anew = false;
  progress.gap = {0, to};
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ShipPlain(const LogShipper::Deps& deps,
                                        std::shared_ptr<TrackedLog> log, uint64_t budget,
                                        ShipTurn& turn) {
  const bool ended = log->end.has_value();
  bool more = false;
  for (const Stream stream : log->job.streams) {
    PlainTurn part(deps, *log, stream, turn);
    auto stopped = co_await part.Run(budget);
    CO_RETURN_IF_ERROR(stopped.status());
    more = more || *stopped;
    if (!ended || *stopped) continue;
    absl::Status finished = co_await part.Finish();
    CO_RETURN_IF_ERROR(finished);
  }
  turn.more = more;
  turn.done = ended && !more;
  co_return absl::OkStatus();
}

}  // namespace boxkeeper::logs
