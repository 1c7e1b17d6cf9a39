#include "cli/files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::cli {
namespace {

absl::Status CannotRead(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read '", path, "': ", why));
}

}  // namespace

absl::StatusOr<std::string> ReadLocalFile(const std::string& path, size_t max_bytes) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return CannotRead(path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return CannotRead(path, "is a directory");
  std::ifstream in(path, std::ios::binary);
  if (!in) return CannotRead(path, std::strerror(errno));
  std::string content;
  char buffer[65536];
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    content.append(buffer, static_cast<size_t>(in.gcount()));
    if (content.size() > max_bytes) {
      return CannotRead(path, absl::StrCat("is larger than ", max_bytes, " bytes"));
    }
  }
  if (in.bad()) return CannotRead(path, "I/O error");
  return content;
}

absl::StatusOr<int64_t> LocalFileSize(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return CannotRead(path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return CannotRead(path, "is a directory");
  return info.st_size;
}

absl::StatusOr<uint32_t> LocalFileMode(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return CannotRead(path, std::strerror(errno));
  return info.st_mode & 0777;
}

}  // namespace boxkeeper::cli
