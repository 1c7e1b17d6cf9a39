#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::base {
namespace {

absl::Status ErrnoStatus(int error, const char* operation, const std::string& path) {
  std::string message = absl::StrCat(path, ": ", operation, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EEXIST:
    case ENOTEMPTY:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EFBIG:
      return absl::InvalidArgumentError(message);
    default:
      return absl::DataLossError(message);
  }
}

class RealFile final : public File {
 public:
  RealFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~RealFile() override { close(fd_); }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    std::string out(size, '\0');
    size_t done = 0;
    while (done < size) {
      ssize_t n = pread(fd_, out.data() + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    out.resize(done);
    return out;
  }

  absl::Status WriteAt(uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      ssize_t n = pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "write", path_);
      offset += static_cast<uint64_t>(n);
      data.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::Status Append(std::string_view data) override {
    ASSIGN_OR_RETURN(uint64_t size, Size());
    return WriteAt(size, data);
  }

  absl::Status Truncate(uint64_t size) override {
    if (ftruncate(fd_, static_cast<off_t>(size)) != 0) return ErrnoStatus(errno, "truncate", path_);
    return absl::OkStatus();
  }

  absl::Status PunchHole(uint64_t from, uint64_t size) override {
    constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    while (fallocate(fd_, kMode, static_cast<off_t>(from), static_cast<off_t>(size)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS) {
        return absl::UnimplementedError(absl::StrCat("punch ", path_, ": ", std::strerror(errno)));
      }
      return ErrnoStatus(errno, "punch", path_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info{};
    if (fstat(fd_, &info) != 0) return ErrnoStatus(errno, "stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  void StartWriteback() override { sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE); }

  absl::Status Sync() override {
    if (fdatasync(fd_) == 0) return absl::OkStatus();
    // Whatever the reason, also ENOSPC of a delayed allocation: the kernel may have dropped the
    // pages.
    return absl::DataLossError(absl::StrCat(path_, ": sync: ", std::strerror(errno)));
  }

  absl::Status Lock() override {
    if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    if (errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(absl::StrCat(path_, ": locked by another process"));
    }
    return ErrnoStatus(errno, "lock", path_);
  }

 private:
  std::string path_;
  int fd_;
};

bool IsDirectory(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             OpenOptions options) override {
    int flags = O_CLOEXEC | (options.write ? O_RDWR : O_RDONLY);
    if (options.create) flags |= O_CREAT;
    if (options.exclusive) flags |= O_EXCL;
    if (options.truncate) flags |= O_TRUNC;
    int fd = open(path.c_str(), flags, static_cast<mode_t>(options.mode));
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    return std::make_unique<RealFile>(path, fd);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "rename", from);
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (remove(path.c_str()) != 0) return ErrnoStatus(errno, "remove", path);
    return absl::OkStatus();
  }

  absl::Status MakeDirectories(const std::string& path, uint32_t mode) override {
    // Mostly its parent is there.
    if (mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0 || IsDirectory(path)) {
      return absl::OkStatus();
    }
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      std::string prefix = path.substr(0, end);
      if (mkdir(prefix.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST) {
        // A parent that exists on a read-only or foreign file system answers otherwise than EEXIST.
        int error = errno;
        if (!IsDirectory(prefix)) return ErrnoStatus(error, "mkdir", prefix);
      }
      if (end == std::string::npos) break;
    }
    struct stat info{};
    if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
    if (!S_ISDIR(info.st_mode)) return ErrnoStatus(EEXIST, "mkdir", path);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    DIR* dir = opendir(directory.c_str());
    if (dir == nullptr) return ErrnoStatus(errno, "list", directory);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(dir)) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
      errno = 0;
    }
    int error = errno;
    closedir(dir);
    if (error != 0) return ErrnoStatus(error, "list", directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    if (access(path.c_str(), F_OK) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return ErrnoStatus(errno, "access", path);
  }

  absl::Status SyncDir(const std::string& directory) override {
    int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "open", directory);
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    if (error == 0) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(directory, ": sync: ", std::strerror(error)));
  }

  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs info{};
    if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, "statvfs", path);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

std::unique_ptr<FileSystem> MakeRealFileSystem() { return std::make_unique<RealFileSystem>(); }

std::string ParentDirectory(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs.Open(path, OpenOptions{}));
  // Files of /proc and pipes say size 0: read until the end, whatever the size.
  std::string content;
  constexpr size_t kPiece = 64 * 1024;
  while (true) {
    ASSIGN_OR_RETURN(std::string piece, file->ReadAt(content.size(), kPiece));
    content += piece;
    if (piece.size() < kPiece) return content;
  }
}

absl::Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view content,
                                 uint32_t mode) {
  std::string temporary = path + ".tmp";
  OpenOptions options{.write = true, .create = true, .truncate = true, .mode = mode};
  absl::Status written = [&]() -> absl::Status {
    // What a crash left there may have another mode.
    if (absl::Status removed = fs.Remove(temporary); !removed.ok() && !absl::IsNotFound(removed)) {
      return removed;
    }
    ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs.Open(temporary, options));
    RETURN_IF_ERROR(file->WriteAt(0, content));
    return file->Sync();
  }();
  if (!written.ok()) {
    fs.Remove(temporary).IgnoreError();  // The first error is the one to tell.
    return written;
  }
  RETURN_IF_ERROR(fs.Rename(temporary, path));
  return fs.SyncDir(ParentDirectory(path));
}

}  // namespace boxkeeper::base
