#include "store/state_lock.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace boxkeeper::store {

absl::StatusOr<std::unique_ptr<StateLock>> StateLock::Acquire(base::FileSystem& fs,
                                                              const std::string& state_dir) {
  RETURN_IF_ERROR(fs.MakeDirectories(state_dir, 0700));
  std::string path = state_dir + "/lock";
  base::OpenOptions options{.write = true, .create = true};
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs.Open(path, options));
  absl::Status locked = file->Lock();
  if (absl::IsFailedPrecondition(locked)) {
    auto holder = file->ReadAt(0, 32);
    std::string pid = holder.ok() ? std::string(absl::StripSuffix(*holder, "\n")) : "";
    return absl::FailedPreconditionError(
        absl::StrCat(state_dir, ": in use by another boxkeeperd",
                     pid.empty() ? std::string() : absl::StrCat(" (pid ", pid, ")")));
  }
  RETURN_IF_ERROR(locked);
  // Only for people: the lock itself is the kernel's. A full disk must not keep the daemon from
  // starting.
  file->Truncate(0).IgnoreError();
  file->WriteAt(0, absl::StrCat(getpid(), "\n")).IgnoreError();
  return std::unique_ptr<StateLock>(new StateLock(std::move(file)));
}

}  // namespace boxkeeper::store
