#include "logs/spool_bound.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::logs {
namespace {

constexpr mode_t kStoredMode = 0400;  // of an index file whose log is stored
constexpr uint64_t kBlockBytes = 512;
constexpr uint64_t kRoomPercent = 95;
constexpr uint64_t kPressedPercent = 80;

struct Folder {
  std::string name;
  uint64_t bytes = 0;
  timespec changed{};
  bool stored = false;
};

// Files come and go meanwhile: what is not there counts nothing.
Folder Look(const std::filesystem::path& path) {
  Folder folder{.name = path.filename().string()};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    struct stat info{};
    if (lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    folder.bytes += static_cast<uint64_t>(info.st_blocks) * kBlockBytes;
    if (entry.path().filename() != "index") continue;
    folder.changed = info.st_mtim;
    folder.stored = (info.st_mode & 0777u) == kStoredMode;
  }
  return folder;
}

bool Older(const Folder& a, const Folder& b) {
  return std::pair(a.changed.tv_sec, a.changed.tv_nsec) <
         std::pair(b.changed.tv_sec, b.changed.tv_nsec);
}

absl::Status SetFull(const std::string& path, bool full) {
  if (!full) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, path);
  }
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return file.valid() ? absl::OkStatus() : absl::ErrnoToStatus(errno, path);
}

}  // namespace

SpoolBound::SpoolBound(std::shared_ptr<SpoolFolders> folders) : folders_(std::move(folders)) {}

void SpoolBound::MarkStored(const std::string& name) {
  // Fails where it is another user's: then the spool stays.
  const std::string index = absl::StrCat(folders_->directory(), "/", name, "/index");
  std::error_code error;
  std::filesystem::permissions(
      index, std::filesystem::perms(kStoredMode),
      std::filesystem::perm_options::replace | std::filesystem::perm_options::nofollow, error);
  if (error != std::errc::no_such_file_or_directory) return;
  // No output; where there is a folder all the same, the outputs lie in it.
  const base::UniqueFd made(
      open(index.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kStoredMode));
}

absl::StatusOr<SpoolUsage> SpoolBound::Enforce(uint64_t max_bytes) {
  SpoolUsage usage;
  std::vector<Folder> stored;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folders_->directory(), error)) {
    if (entry.path().filename().string().starts_with(".")) continue;
    Folder folder = Look(entry.path());
    usage.bytes += folder.bytes;
    if (folder.stored && folder.bytes > 0) stored.push_back(std::move(folder));
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat(folders_->directory(), ": ", error.message()));
  }
  const uint64_t room = max_bytes / 100 * kRoomPercent;
  if (usage.bytes > max_bytes) {
    std::sort(stored.begin(), stored.end(), Older);
    for (const Folder& folder : stored) {
      if (usage.bytes <= room) break;
      folders_->Drop(folder.name);
      usage.bytes -= folder.bytes;
      ++usage.dropped;
    }
  }
  const std::string path = absl::StrCat(folders_->directory(), "/", base::kSpoolFullName);
  const bool was_full = access(path.c_str(), F_OK) == 0;
  usage.full = usage.bytes >= (was_full ? room : max_bytes);
  usage.pressed = usage.bytes >= max_bytes / 100 * kPressedPercent;
  if (usage.full == was_full) return usage;
  absl::Status told = SetFull(path, usage.full);
  if (!told.ok()) return told;
  return usage;
}

}  // namespace boxkeeper::logs
