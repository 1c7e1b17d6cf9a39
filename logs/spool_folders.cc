#include "logs/spool_folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr auto kFilePermissions =
    std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
// Below the spool directory; no task id looks like it.
constexpr char kSparesFolder[] = ".spare";
// Enough for the tasks that one sweep of the retention forgets; each is four inodes.
constexpr size_t kSparesMax = 1024;

absl::Status Failed(const std::string& path, int error) {
  const std::string text = absl::StrCat(path, ": ", std::generic_category().message(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::UnavailableError(text);
}

// False if something of it may still hold data.
bool EmptyFiles(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string path = entry.path().string();
    // An index of a stored log is not writable; it becomes an ordinary one.
    std::error_code unchanged;  // then it is met again below
    std::filesystem::permissions(
        entry.path(), kFilePermissions,
        std::filesystem::perm_options::replace | std::filesystem::perm_options::nofollow,
        unchanged);
    // A file of another user (a launcher run as root) or a folder cannot be kept.
    const int fd = open(path.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
      close(fd);
      if (path.ends_with("/stdout") || path.ends_with("/stderr") || path.ends_with("/index")) {
        continue;
      }
    }
    std::error_code removed;
    std::filesystem::remove_all(entry.path(), removed);
    if (removed) return false;
  }
  return !error;
}

}  // namespace

SpoolFolders::SpoolFolders(std::string directory) : directory_(std::move(directory)) {}

std::string SpoolFolders::SpareFolder() const {
  return absl::StrCat(directory_, "/", kSparesFolder);
}

absl::Status SpoolFolders::Provide(const std::string& name) {
  const std::string path = absl::StrCat(directory_, "/", name);
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? absl::OkStatus() : Failed(path, ENOTDIR);
  }
  {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(LoadSparesOnce());
  }
  for (std::string spare = TakeSpare(); !spare.empty(); spare = TakeSpare()) {
    if (rename(spare.c_str(), path.c_str()) == 0) break;
  }
  return absl::OkStatus();
}

bool SpoolFolders::HasNone() const {
  std::lock_guard lock(mutex_);
  return loaded_ && spares_.empty();
}

void SpoolFolders::Drop(const std::string& name) {
  const std::string path = absl::StrCat(directory_, "/", name);
  const std::string spare = absl::StrCat(SpareFolder(), "/", name);
  bool keep = false;
  {
    std::lock_guard lock(mutex_);
    keep = LoadSparesOnce().ok() && spares_.size() < kSparesMax;
  }
  // Out of the way first: nobody may read half of it.
  if (keep && rename(path.c_str(), spare.c_str()) == 0 && EmptyFiles(spare)) {
    std::lock_guard lock(mutex_);
    spares_.push_back(spare);
    return;
  }
  for (const std::string& left : {path, spare}) {
    std::error_code error;
    std::filesystem::remove_all(left, error);
    if (error) base::LogWarning("cannot remove a spool directory", {{"error", error.message()}});
  }
}

std::string SpoolFolders::TakeSpare() {
  std::lock_guard lock(mutex_);
  if (spares_.empty()) return "";
  std::string spare = std::move(spares_.back());
  spares_.pop_back();
  return spare;
}

// Those of an earlier process, which may have died before it had emptied them.
absl::Status SpoolFolders::LoadSparesOnce() {
  if (loaded_) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(SpareFolder(), error);
  if (error) return Failed(SpareFolder(), error.value());
  loaded_ = true;
  for (const std::string& made : {directory_, SpareFolder()}) chmod(made.c_str(), kFolderMode);
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(SpareFolder(), error)) {
    found.push_back(entry.path().string());
  }
  for (std::string& path : found) {
    if (spares_.size() < kSparesMax && EmptyFiles(path)) {
      spares_.push_back(std::move(path));
    } else {
      std::filesystem::remove_all(path, error);
    }
  }
  return absl::OkStatus();
}

}  // namespace boxkeeper::logs
