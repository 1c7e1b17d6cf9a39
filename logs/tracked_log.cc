#include "logs/tracked_log.h"

#include <algorithm>
#include <utility>

namespace boxkeeper::logs {
namespace {

void ResumePlain(TrackedLog& log, const store::v1::LogRecord& record) {
  const auto stream = ParseStream(record.stream());
  if (!stream) return;
  PlainProgress& progress = log.plain_of(*stream);
  const auto from = static_cast<uint64_t>(record.from());
  const auto to = static_cast<uint64_t>(record.to());
  if (record.dropped()) {
    progress.gap = {from, to};
    // Usually it is there already. A gap that has grown is passed again from its begin.
    if (progress.confirmed != from) progress.GoTo(from, from == 0 ? EmptyHash() : std::nullopt);
  } else if (record.confirmed()) {
    progress.GoTo(to, ResumableSha256::FromState(record.hash_state_to()));
    progress.pieces = record.piece() + 1;
  } else if (!record.complete()) {
    progress.GoTo(from, ResumableSha256::FromState(record.hash_state_from()));
    progress.pieces = record.piece();
    progress.cut = std::make_unique<PendingCut>(PendingCut{record, nullptr});
  }
}

void ResumeAirflow(TrackedLog& log, const store::v1::LogRecord& record) {
  if (record.dropped() || record.complete()) return;
  AirflowProgress& progress = *log.airflow;
  if (record.confirmed()) {
    progress.cursor = record.cursor_to();
    progress.piece = record.piece() + 1;
    progress.rendered = static_cast<uint64_t>(record.to());
    progress.hash = ResumableSha256::FromState(record.hash_state_to());
    progress.cut.reset();
  } else {
    progress.cursor = record.cursor_from();
    progress.piece = record.piece();
    progress.rendered = static_cast<uint64_t>(record.from());
    progress.hash = ResumableSha256::FromState(record.hash_state_from());
    progress.cut = std::make_unique<PendingCut>(PendingCut{record, nullptr});
  }
}

}  // namespace

StoredHash EmptyHash() { return ResumableSha256(); }

void PlainProgress::GoTo(uint64_t offset, StoredHash at_offset) {
  position = confirmed = offset;
  hash = confirmed_hash = at_offset;
  cut.reset();
}

TrackedLog::TrackedLog(ShipJob ship_job) : job(std::move(ship_job)) {
  if (job.layout == Layout::kAirflow) airflow = std::make_unique<AirflowProgress>();
}

bool TrackedLog::Wants(Stream stream) const {
  return std::find(job.streams.begin(), job.streams.end(), stream) != job.streams.end();
}

uint64_t TrackedLog::Stored(Stream stream) const {
  if (job.layout == Layout::kAirflow) return Confirmed(stream);
  return plain_of(stream).position;
}

uint64_t TrackedLog::Confirmed(Stream stream) const {
  if (job.layout != Layout::kAirflow) return plain_of(stream).confirmed;
  const store::v1::LogCursor& cursor = airflow->cursor;
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor.stdout_line()
                                                         : cursor.stderr_line());
}

uint64_t TrackedLog::Shipped(Stream stream) const {
  if (job.layout != Layout::kAirflow) return plain_of(stream).position;
  const store::v1::LogCursor& cursor = airflow->cursor;
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor.stdout_scanned()
                                                         : cursor.stderr_scanned());
}

uint64_t TrackedLog::Rendered(Stream stream) const {
  if (job.layout != Layout::kAirflow) return plain_of(stream).position;
  const store::v1::LogCursor& cursor = airflow->cursor;
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor.stdout_line()
                                                         : cursor.stderr_line());
}

bool Resume(TrackedLog& log) {
  bool complete = false;
  for (const store::v1::LogRecord& record : log.job.resume) {
    complete = complete || record.complete();
    log.job.layout == Layout::kAirflow ? ResumeAirflow(log, record) : ResumePlain(log, record);
  }
  log.job.resume.clear();
  log.job.resume.shrink_to_fit();
  return complete;
}

}  // namespace boxkeeper::logs
