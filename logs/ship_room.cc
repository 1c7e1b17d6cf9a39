#include "logs/ship_room.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/freed_spool.h"
#include "logs/piece_map.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

// Less is not worth an announcement, unless the command waits for it.
constexpr uint64_t kStepMin = 64 * 1024;
constexpr uint64_t kStepMax = 16 * 1024 * 1024;
constexpr uint64_t kStepPart = 8;  // of what the spool may hold
constexpr uint64_t kStepWaiting = 4 * 1024;

uint64_t Step(const TrackedLog& log, bool waiting, bool pressed) {
  if (waiting) return kStepWaiting;
  if (log.needs_room) return std::clamp(log.job.spool_bytes_max / kStepPart, kStepMin, kStepMax);
  return pressed && log.job.frees_stored ? kStepMin : 0;
}

void Warn(const TrackedLog& log, const absl::Status& error) {
  static std::atomic<bool> told = false;
  if (told.exchange(true)) return;
  base::LogWarning("cannot give back spool space of stored output; commands wait at the log limit",
                   {{"task_id", log.job.task.ToString()}, {"error", error}});
}

}  // namespace

absl::StatusOr<SpoolLook> LookAtSpool(base::FileSystem& files, const SpoolFiles& spool) {
  SpoolReader reader(files, spool, nullptr);
  SpoolLook look;
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    const auto i = static_cast<size_t>(stream);
    ASSIGN_OR_RETURN(look.bytes[i], reader.Size(stream));
    if (look.bytes[i] == 0) continue;
    ASSIGN_OR_RETURN(look.freed[i], reader.ReadFreed(stream));
  }
  const std::string folder = base::ParentDirectory(spool.index_path());
  ASSIGN_OR_RETURN(look.waiting, files.Exists(absl::StrCat(folder, "/", base::kSpoolWaitingName)));
  return look;
}

void NoteLook(TrackedLog& log, const SpoolLook& look, bool pressed) {
  uint64_t held = 0;
  for (size_t i = 0; i < log.freed.size(); ++i) {
    log.freed[i] = look.freed[i];
    held += look.bytes[i] - std::min(look.bytes[i], look.freed[i]);
  }
  const uint64_t most = log.job.spool_bytes_max;
  log.needs_room = look.waiting || (log.job.frees_stored && most > 0 && held >= most / 2);
  log.room_step = Step(log, look.waiting, pressed);
}

asio::awaitable<void> FreeConfirmed(const LogShipper::Deps& deps, std::shared_ptr<TrackedLog> log) {
  const bool due = std::any_of(log->job.streams.begin(), log->job.streams.end(),
                               [&log](Stream stream) { return log->RoomIsDue(stream); });
  if (due && log->airflow) {
    auto sync = [files = &deps.files, spool = log->job.spool, pieces = log->airflow->piece] {
      return SyncPieceMap(*files, spool, pieces);
    };
    const absl::Status synced = co_await base::RunOn(deps.pool, std::move(sync));
    if (!synced.ok()) {
      // It began when nothing was to be freed.
      log->cannot_free = absl::IsNotFound(synced) || absl::IsFailedPrecondition(synced);
      Warn(*log, synced);
      co_return;
    }
  }
  for (const Stream stream : log->job.streams) {
    uint64_t& freed = log->freed[static_cast<size_t>(stream)];
    bool& punched = log->punched[static_cast<size_t>(stream)];
    const uint64_t to = std::max(log->Confirmed(stream), freed);
    const bool more = to >= freed + log->room_step;
    if (!log->RoomIsDue(stream) || (punched && !more)) continue;
    const uint64_t keep = log->job.redactor ? log->job.redactor->context() : 0;
    auto free = [files = &deps.files, spool = log->job.spool, stream, to, keep] {
      return FreeStored(*files, spool, stream, to, keep);
    };
    const absl::Status done = co_await base::RunOn(deps.pool, std::move(free));
    punched = done.ok();
    if (done.ok()) {
      freed = to;
      log->has_freed = true;
      continue;
    }
    log->cannot_free = absl::IsUnimplemented(done);
    Warn(*log, done);
  }
}

}  // namespace boxkeeper::logs
