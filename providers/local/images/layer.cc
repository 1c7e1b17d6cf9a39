#include "providers/local/images/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/core/file_io.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::local {
namespace {

constexpr char kWhiteout[] = ".wh.";
constexpr char kOpaque[] = ".wh..wh..opq";
constexpr char kWhiteoutMeta[] = ".wh..wh.";
constexpr size_t kPathBytesMax = 4096;
constexpr int kDepthMax = 256;  // removing a tree takes two descriptors per level
constexpr size_t kReadBytes = 1 << 18;
constexpr uint64_t kBytesPerDiskCheck = 64 << 20;

struct CloseArchive {
  void operator()(struct archive* tar) const { archive_read_free(tar); }
};

absl::Status Refused(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("entry '", path, "': ", why));
}

absl::Status ErrnoStatus(const std::string& path, int error) {
  const std::string text = absl::StrCat("entry '", path, "': ", strerror(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  if (error == EIO) return absl::DataLossError(text);
  return absl::InvalidArgumentError(text);
}

// "a/b" for "./a//b/" and "/a/b", "" for the root itself; nothing for a path with "..", and for one
// that is too long or too deep.
std::optional<std::string> Normalised(const char* raw) {
  const std::string path = raw == nullptr ? "" : raw;
  if (path.size() > kPathBytesMax) return std::nullopt;
  std::string out;
  int depth = 0;
  for (size_t from = 0; from <= path.size();) {
    const size_t to = std::min(path.find('/', from), path.size());
    const std::string part = path.substr(from, to - from);
    from = to + 1;
    if (part.empty() || part == ".") continue;
    if (part == ".." || ++depth > kDepthMax) return std::nullopt;
    absl::StrAppend(&out, out.empty() ? "" : "/", part);
  }
  return out;
}

std::pair<std::string, std::string> SplitLast(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::vector<std::string> NamesIn(int directory) {
  std::vector<std::string> names;
  DIR* stream = fdopendir(fcntl(directory, F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(stream);
  return names;
}

bool IsDirectoryAt(int parent, const std::string& name) {
  struct stat status;
  return fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(status.st_mode);
}

}  // namespace

LayerUnpacker::LayerUnpacker(base::UniqueFd root, UnpackLimits limits,
                             const std::atomic<bool>& stop)
    : root_(std::move(root)), limits_(limits), stop_(stop) {}

absl::Status LayerUnpacker::Apply(const std::string& blob) {
  const std::unique_ptr<struct archive, CloseArchive> tar(archive_read_new());
  archive_read_support_filter_gzip(tar.get());
  archive_read_support_filter_zstd(tar.get());
  archive_read_support_format_tar(tar.get());
  archive_read_support_format_empty(tar.get());
  const auto archive_error = [&] {
    const char* text = archive_error_string(tar.get());
    return absl::InvalidArgumentError(absl::StrCat(blob, ": ", text == nullptr ? "damaged" : text));
  };
  if (archive_read_open_filename(tar.get(), blob.c_str(), kReadBytes) != ARCHIVE_OK) {
    return archive_error();
  }
  of_this_layer_.clear();
  for (;;) {
    struct archive_entry* entry = nullptr;
    const int result = archive_read_next_header(tar.get(), &entry);
    if (result == ARCHIVE_EOF) return absl::OkStatus();
    // A warning is about names that are not UTF-8 and the like: bytes are kept as they are.
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return archive_error();
    RETURN_IF_ERROR(ApplyEntry(tar.get(), entry));
  }
}

absl::Status LayerUnpacker::ApplyEntry(struct archive* tar, struct archive_entry* entry) {
  const char* raw = archive_entry_pathname(entry);
  const auto path = Normalised(raw);
  if (!path.has_value())
    return Refused(raw == nullptr ? "" : raw, "leads out of the image, or is too long or too deep");
  if (++entries_ > limits_.entries) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", limits_.entries, " entries"));
  }
  RETURN_IF_ERROR(Count(0));
  const mode_t mode = archive_entry_perm(entry);
  if (path->empty()) return absl::OkStatus();
  const auto [folder, name] = SplitLast(*path);
  if (name.rfind(kWhiteout, 0) == 0) return Whiteout(folder, name);

  const char* hard_link = archive_entry_hardlink(entry);
  const mode_t type = archive_entry_filetype(entry);
  const bool kept =
      hard_link != nullptr || type == AE_IFREG || type == AE_IFDIR || type == AE_IFLNK;
  if (!kept) return absl::OkStatus();  // devices, FIFOs, sockets
  Place place;
  RETURN_IF_ERROR(Locate(*path, &place));
  const bool stays =
      type == AE_IFDIR && hard_link == nullptr && IsDirectoryAt(place.parent.get(), name);
  if (!stays) {
    if (const int error = base::RemoveTreeAt(place.parent.get(), name); error != 0) {
      return ErrnoStatus(*path, error);
    }
  }
  Remember(*path);
  if (hard_link != nullptr) return MakeHardLink(place, hard_link);
  if (type == AE_IFDIR) return MakeDirectory(place, mode);
  if (type == AE_IFLNK) return MakeSymlink(place, archive_entry_symlink(entry));
  return MakeFile(tar, place, mode, archive_entry_mtime(entry));
}

absl::Status LayerUnpacker::Whiteout(const std::string& folder, const std::string& name) {
  if (name == kOpaque) return EmptyOfLower(folder);
  if (name.rfind(kWhiteoutMeta, 0) == 0) return absl::OkStatus();  // bookkeeping of aufs
  const std::string hidden = name.substr(sizeof(kWhiteout) - 1);
  if (hidden.empty() || hidden == "." || hidden == "..") return Refused(name, "hides nothing");
  const std::string path = folder.empty() ? hidden : absl::StrCat(folder, "/", hidden);
  if (of_this_layer_.contains(path)) return absl::OkStatus();
  const base::UniqueFd parent = OpenInRoot(folder, O_PATH | O_DIRECTORY);
  if (!parent.valid()) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(path, errno);
  const int error = base::RemoveTreeAt(parent.get(), hidden);
  return error == 0 ? absl::OkStatus() : ErrnoStatus(path, error);
}

absl::Status LayerUnpacker::EmptyOfLower(const std::string& path) {
  const base::UniqueFd folder = OpenInRoot(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder.valid()) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(path, errno);
  for (const std::string& name : NamesIn(folder.get())) {
    const std::string child = path.empty() ? name : absl::StrCat(path, "/", name);
    if (!of_this_layer_.contains(child)) {
      if (const int error = base::RemoveTreeAt(folder.get(), name); error != 0) {
        return ErrnoStatus(child, error);
      }
    } else if (IsDirectoryAt(folder.get(), name)) {
      RETURN_IF_ERROR(EmptyOfLower(child));
    }
  }
  return absl::OkStatus();
}

absl::Status LayerUnpacker::MakeDirectory(const Place& place, mode_t mode) {
  const int parent = place.parent.get();
  if (mkdirat(parent, place.name.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(place.name, errno);
  }
  // Not a link: it was made here, or found to be a directory, and nobody else writes here.
  if (fchmodat(parent, place.name.c_str(), (mode & 01777) | 0700, 0) != 0) {
    return ErrnoStatus(place.name, errno);
  }
  return absl::OkStatus();
}

absl::Status LayerUnpacker::MakeFile(struct archive* tar, const Place& place, mode_t mode,
                                     int64_t mtime) {
  const base::UniqueFd file(openat(place.parent.get(), place.name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(place.name, errno);
  RETURN_IF_ERROR(WriteData(tar, file.get()));
  const timespec times[2] = {{.tv_sec = mtime, .tv_nsec = 0}, {.tv_sec = mtime, .tv_nsec = 0}};
  if (fchmod(file.get(), (mode & 0777) | 0400) != 0 || futimens(file.get(), times) != 0) {
    return ErrnoStatus(place.name, errno);
  }
  return absl::OkStatus();
}

absl::Status LayerUnpacker::WriteData(struct archive* tar, int file) {
  int64_t end = 0;
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    int64_t offset = 0;
    const int result = archive_read_data_block(tar, &data, &size, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK) {
      const char* text = archive_error_string(tar);
      return absl::InvalidArgumentError(text == nullptr ? "damaged archive" : text);
    }
    RETURN_IF_ERROR(Count(size));
    // A hole costs nothing; a file of one that ends in data far out is bounded all the same.
    end = std::max<int64_t>(end, offset + static_cast<int64_t>(size));
    if (static_cast<uint64_t>(end) > limits_.bytes) {
      return absl::ResourceExhaustedError("a file larger than an image may be");
    }
    if (lseek(file, offset, SEEK_SET) < 0) return ErrnoStatus("", errno);
    if (const int error = base::WriteAll(file, {static_cast<const char*>(data), size});
        error != 0) {
      return ErrnoStatus("", error);
    }
  }
  return absl::OkStatus();
}

absl::Status LayerUnpacker::MakeSymlink(const Place& place, const char* target) {
  if (target == nullptr || *target == '\0') return Refused(place.name, "a link to nothing");
  if (symlinkat(target, place.parent.get(), place.name.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus(place.name, errno);
}

absl::Status LayerUnpacker::MakeHardLink(const Place& place, const char* target) {
  const auto path = Normalised(target);
  if (!path.has_value() || path->empty())
    return Refused(place.name, "a hard link out of the image");
  const auto [folder, name] = SplitLast(*path);
  const base::UniqueFd parent = OpenInRoot(folder, O_PATH | O_DIRECTORY);
  if (!parent.valid()) return ErrnoStatus(*path, errno);
  if (linkat(parent.get(), name.c_str(), place.parent.get(), place.name.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(*path, errno);
}

absl::Status LayerUnpacker::Locate(const std::string& path, Place* place) {
  const auto [folder, name] = SplitLast(path);
  place->name = name;
  place->parent = OpenInRoot(folder, O_PATH | O_DIRECTORY);
  if (place->parent.valid()) return absl::OkStatus();
  if (errno != ENOENT) return ErrnoStatus(path, errno);
  Place above;
  RETURN_IF_ERROR(Locate(folder, &above));
  if (mkdirat(above.parent.get(), above.name.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(folder, errno);
  }
  place->parent = OpenInRoot(folder, O_PATH | O_DIRECTORY);
  return place->parent.valid() ? absl::OkStatus() : ErrnoStatus(path, errno);
}

absl::Status LayerUnpacker::Count(uint64_t bytes) {
  if (stop_.load(std::memory_order_relaxed)) return absl::CancelledError("the daemon stops");
  bytes_ += bytes;
  if (bytes_ > limits_.bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", limits_.bytes, " bytes"));
  }
  if (bytes_ < next_disk_check_) return absl::OkStatus();
  next_disk_check_ = bytes_ + kBytesPerDiskCheck;
  struct statvfs disk;
  if (fstatvfs(root_.get(), &disk) == 0 &&
      static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize < limits_.free_bytes_min) {
    return absl::ResourceExhaustedError(absl::StrCat("less than ", limits_.free_bytes_min >> 20,
                                                     " MiB would stay free on the disk"));
  }
  return absl::OkStatus();
}

void LayerUnpacker::Remember(const std::string& path) {
  std::string prefix = path;
  while (!prefix.empty() && of_this_layer_.insert(prefix).second) prefix = SplitLast(prefix).first;
}

base::UniqueFd LayerUnpacker::OpenInRoot(const std::string& path, uint64_t flags) const {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  return base::UniqueFd(
      static_cast<int>(syscall(SYS_openat2, root_.get(), name, &how, sizeof(how))));
}

}  // namespace boxkeeper::providers::local
