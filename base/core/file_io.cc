#include "base/core/file_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/core/unique_fd.h"

namespace boxkeeper::base {

int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

int ReadFileAt(int directory, const std::string& name, size_t bytes_max, std::string* bytes) {
  bytes->clear();
  const UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    if (bytes->size() + static_cast<size_t>(got) > bytes_max) return EFBIG;
    bytes->append(buffer, static_cast<size_t>(got));
  }
}

int ReplaceFileAt(int directory, const std::string& name, std::string_view bytes, mode_t mode,
                  Durability durability) {
  const std::string beside = name + ".new";
  UniqueFd fd(openat(directory, beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd.valid()) return errno;
  if (const int error = WriteAll(fd.get(), bytes); error != 0) return error;
  if (durability == Durability::kPowerLoss && fdatasync(fd.get()) != 0) return errno;
  if (renameat(directory, beside.c_str(), directory, name.c_str()) != 0) return errno;
  return 0;
}

int RemoveTreeAt(int directory, const std::string& name) {
  if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() && errno == EACCES) {
    // A directory that its owner closed to himself.
    (void)!fchmodat(directory, name.c_str(), 0700, 0);
    fd.Reset(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!fd.valid()) return errno == ENOENT ? 0 : errno;
  const int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return errno;
  DIR* entries = fdopendir(copy);
  int first_error = 0;
  while (const dirent* entry = readdir(entries)) {
    const std::string_view child = entry->d_name;
    if (child == "." || child == "..") continue;
    const int error = RemoveTreeAt(fd.get(), std::string(child));
    if (error != 0 && first_error == 0) first_error = error;
  }
  closedir(entries);
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  return first_error != 0 ? first_error : errno;
}

}  // namespace boxkeeper::base
