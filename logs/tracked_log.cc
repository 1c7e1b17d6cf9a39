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
    progress.confirmed = std::max(progress.confirmed, from);
  } else if (record.confirmed()) {
    progress.confirmed = to;
  }
  progress.position = progress.confirmed;
}

void ResumeAirflow(TrackedLog& log, const store::v1::LogRecord& record) {
  if (record.dropped() || record.complete()) return;
  AirflowProgress& progress = *log.airflow;
  if (record.confirmed()) {
    progress.cursor = record.cursor_to();
    progress.piece = record.piece() + 1;
    progress.rendered = static_cast<uint64_t>(record.to());
    progress.cut.reset();
  } else {
    progress.cursor = record.cursor_from();
    progress.piece = record.piece();
    progress.rendered = static_cast<uint64_t>(record.from());
    progress.cut = std::make_unique<store::v1::LogRecord>(record);
  }
}

}  // namespace

TrackedLog::TrackedLog(ShipJob ship_job) : job(std::move(ship_job)) {
  if (job.layout == Layout::kAirflow) airflow = std::make_unique<AirflowProgress>();
}

bool TrackedLog::Wants(Stream stream) const {
  return std::find(job.streams.begin(), job.streams.end(), stream) != job.streams.end();
}

uint64_t TrackedLog::Shipped(Stream stream) const {
  if (job.layout == Layout::kPlain) return plain_of(stream).position;
  const store::v1::LogCursor& cursor = airflow->cursor;
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor.stdout_scanned()
                                                         : cursor.stderr_scanned());
}

bool Resume(TrackedLog& log) {
  bool complete = false;
  for (const store::v1::LogRecord& record : log.job.resume) {
    complete = complete || record.complete();
    log.job.layout == Layout::kPlain ? ResumePlain(log, record) : ResumeAirflow(log, record);
  }
  log.job.resume.clear();
  log.job.resume.shrink_to_fit();
  return complete;
}

}  // namespace boxkeeper::logs
