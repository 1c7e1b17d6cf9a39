// From the end of the main process to the exit record.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/core/proc.h"
#include "base/fault_points.h"
#include "launcher/supervision.h"

namespace boxkeeper::launcher {
namespace {

// Control groups whose last process is gone cannot be removed for a moment.
constexpr uint64_t kGroupRetryNs = 5 * kMillisecond;
constexpr int kGroupRemovalsMax = 40;
// An exit record must have room on a full disk.
constexpr off_t kExitBytesReserved = 4096;
constexpr size_t kErrorBytesMax = 1024;
constexpr char kExitBeside[] = "exit.new";

}  // namespace

// A file of that size is made while the command runs, so that the end needs no new space; best
// effort where the file system cannot reserve. A recycled directory brings one along.
void Supervisor::ReserveExitRecord() {
  exit_file_.Reset(
      openat(place_.directory, kExitBeside, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (exit_file_.valid()) {
    fallocate(exit_file_.get(), FALLOC_FL_KEEP_SIZE, 0, kExitBytesReserved);
  }
}

// The tree is gone, so all that it wrote is in the pipes already; a stranger that holds a write end
// can keep the end of file away, and write on, but not make us wait for either.
void Supervisor::Drain() {
  if (!drain_until_) {
    drain_until_ = Now() + final_drain_ms_ * kMillisecond;
    for (size_t i = 0; i < Spool::kStreams; ++i) {
      drain_to_[i] = spool_.bytes(i) + spool_.WaitingBytes(i);
    }
  }
  bool stalled = false;
  for (size_t i = 0; i < Spool::kStreams; ++i) {
    while (!stalled && spool_.bytes(i) < drain_to_[i]) {
      const Spool::PumpResult result = spool_.Pump(i, /*past_limit=*/true);
      stalled = result == Spool::PumpResult::kStalled;
      if (result != Spool::PumpResult::kMoved) break;
    }
  }
  if (!stalled) {
    Finish();
  } else if (Now() >= *drain_until_) {
    exit_.error = "output was lost at the end: " + spool_.stall_reason();
    Finish();
  } else {
    loop_.At(Now() + kStallRetryNs, [this] {
      if (!finished_) Drain();
    });
  }
}

void Supervisor::Finish() {
  RemoveSecretFiles(secret_paths_, account_, workdir_.get());
  launcher::AddUsage(limiter_.Usage(), killed_main_, &exit_);
  exit_.stdout_bytes = spool_.bytes(0);
  exit_.stderr_bytes = spool_.bytes(1);
  exit_.stdout_dropped_bytes = spool_.dropped_bytes(0);
  exit_.stderr_dropped_bytes = spool_.dropped_bytes(1);
  RemoveGroups();
}

void Supervisor::FinishUnstarted(const std::string& error) {
  exit_.kind = start_unknown_ ? EndKind::kSupervisorLost : EndKind::kStartFailed;
  exit_.user_code_started = start_unknown_ ? UserCodeStarted::kUnknown : UserCodeStarted::kNo;
  exit_.tree_fenced = true;
  exit_.error = error.substr(0, kErrorBytesMax);
  exit_.ended_unix_ns = base::UnixNs();
  exit_.ended_boot_ns = Now();
  if (workdir_.valid()) RemoveSecretFiles(secret_paths_, account_, workdir_.get());
  RemoveGroups();
}

// Nothing of the tree is left, so this works at once or within moments. What a stranger holds on to
// by having put itself in there is left to the launcher.
void Supervisor::RemoveGroups() {
  if (limiter_.Remove() || ++group_removals_ == kGroupRemovalsMax) {
    WriteExitRecord();
  } else {
    loop_.At(Now() + kGroupRetryNs, [this] { RemoveGroups(); });
  }
}

// Whether the command has removed the sandbox's own directory, as a careless or hostile one of the
// same user can: no record will ever have a name in it again.
bool Supervisor::DirectoryIsRemoved() const {
  struct stat status{};
  return fstat(place_.directory, &status) == 0 && status.st_nlink == 0;
}

// Not synced: the client journals the end before it tells anyone, and the launcher syncs what no
// client takes (ADR 0003). On an error it is tried until it works: an end without a record would be
// a lie by omission. Where no record can be, the notice alone tells the end, and a launcher that
// misses it that we are gone.
void Supervisor::WriteExitRecord() {
  base::Failpoint("supervisor.before_exit_record");
  const std::string bytes = EncodeRecord(exit_);
  if (!exit_file_.valid()) ReserveExitRecord();
  const bool written = exit_file_.valid() &&
                       pwrite(exit_file_.get(), bytes.data(), bytes.size(), 0) ==
                           static_cast<ssize_t>(bytes.size()) &&
                       renameat(place_.directory, kExitBeside, place_.directory, kExitFile) == 0;
  if (written || DirectoryIsRemoved()) {
    base::Failpoint("supervisor.after_exit_record");
    Notify(NoticeKind::kExited, bytes);
    finished_ = true;
    return;
  }
  exit_file_.Reset();
  loop_.At(Now() + kStallRetryNs, [this] { WriteExitRecord(); });
}

// Never waits for the launcher: one that is stopped or slow must not hold the command's output. A
// notice is at most PIPE_BUF long, so all or nothing is written; what a full pipe refuses is
// dropped, as the launcher finds the record by itself.
void Supervisor::Notify(NoticeKind kind, const std::string& record) {
  const std::string notice = EncodeNotice({kind, arguments_.sandbox_id, record});
  (void)!write(arguments_.notices.get(), notice.data(), notice.size());
}

}  // namespace boxkeeper::launcher
