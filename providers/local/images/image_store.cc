#include "providers/local/images/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/core/file_io.h"
#include "base/core/unique_fd.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::local {
namespace {

constexpr char kPartial[] = ".part";

absl::Status ErrnoStatus(const std::string& path, int error) {
  const std::string text = absl::StrCat(path, ": ", strerror(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::FailedPreconditionError(text);
}

absl::Status Remove(const std::string& path) {
  const int error = base::RemoveTreeAt(AT_FDCWD, path);
  return error == 0 ? absl::OkStatus() : ErrnoStatus(path, error);
}

bool Exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

// All that was written to the disk of `directory`, and the names in it.
absl::Status SyncDisk(const std::string& directory) {
  const base::UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || syncfs(fd.get()) != 0) return ErrnoStatus(directory, errno);
  return absl::OkStatus();
}

}  // namespace

ImageStore::ImageStore(std::string directory, UnpackLimits limits)
    : directory_(std::move(directory)), limits_(limits) {}

absl::StatusOr<std::string> ImageStore::Prepare(const ResolvedImage& image,
                                                const std::atomic<bool>& stop) {
  if (image.digest.empty()) return image.directory;
  const std::string root = absl::StrCat(directory_, "/", image.digest);
  if (Exists(root)) return root;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) return ErrnoStatus(directory_, error.value());
  const std::string partial = root + kPartial;
  RETURN_IF_ERROR(Remove(partial));
  if (mkdir(partial.c_str(), 0755) != 0) return ErrnoStatus(partial, errno);
  absl::Status unpacked = Unpack(image, partial, stop);
  if (unpacked.ok()) unpacked = SyncDisk(partial);
  if (unpacked.ok() && rename(partial.c_str(), root.c_str()) != 0) {
    unpacked = ErrnoStatus(root, errno);
  }
  if (!unpacked.ok()) {
    // Whatever cannot be removed now is tried again at the next start.
    (void)Remove(partial);
    return unpacked;
  }
  RETURN_IF_ERROR(SyncDisk(directory_));
  return root;
}

absl::Status ImageStore::Unpack(const ResolvedImage& image, const std::string& path,
                                const std::atomic<bool>& stop) const {
  for (const LayerBlob& layer : image.layers) RETURN_IF_ERROR(VerifyBlob(layer, stop));
  base::UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return ErrnoStatus(path, errno);
  // Whatever the umask says: tasks of another user must be able to enter.
  if (fchmod(root.get(), 0755) != 0) return ErrnoStatus(path, errno);
  LayerUnpacker unpacker(std::move(root), limits_, stop);
  for (const LayerBlob& layer : image.layers) {
    absl::Status applied = unpacker.Apply(layer.path);
    if (!applied.ok()) {
      return absl::Status(applied.code(), absl::StrCat("layer sha256:", layer.digest, ": ",
                                                       std::string(applied.message())));
    }
  }
  return absl::OkStatus();
}

std::set<std::string> ImageStore::Names() const {
  std::error_code absent;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, absent)) {
    names.insert(entry.path().filename());
  }
  return names;
}

absl::Status ImageStore::RemoveOthers(const std::set<std::string>& keep) {
  absl::Status first;
  for (const std::string& name : Names()) {
    if (keep.contains(name)) continue;
    // A reader of the directory never sees half an image under its digest.
    const std::string path = absl::StrCat(directory_, "/", name);
    std::string doomed = path;
    if (!name.ends_with(kPartial)) {
      doomed += kPartial;
      if (rename(path.c_str(), doomed.c_str()) != 0) doomed = path;
    }
    first.Update(Remove(doomed));
  }
  return first;
}

}  // namespace boxkeeper::providers::local
