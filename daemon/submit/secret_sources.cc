#include "daemon/submit/secret_sources.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::daemon {
namespace {

absl::Status Denied(const char* key) {
  return absl::PermissionDeniedError(
      absl::StrCat("is not allowed; allowed: what the daemon's ", key, " names"));
}

absl::Status Unreadable(int error) {
  const std::string message =
      absl::StrCat("cannot be read: ", std::strerror(error),
                   "; allowed: a regular file of at most ", kSecretFileBytesMax, " bytes");
  return error == ENOENT ? absl::NotFoundError(message) : absl::FailedPreconditionError(message);
}

// An entry that ends in '/' stands for everything below it.
bool Matches(const std::string& entry, const std::string& path) {
  if (entry.empty()) return false;
  return entry.back() == '/' ? path.rfind(entry, 0) == 0 && path.size() > entry.size()
                             : path == entry;
}

bool IsListed(const config::v1::Config& config, const std::string& path) {
  const auto& entries = config.secrets().allow_files();
  return std::filesystem::path(path).lexically_normal().string() == path &&
         std::any_of(entries.begin(), entries.end(),
                     [&path](const std::string& entry) { return Matches(entry, path); });
}

bool IsListedResolved(const config::v1::Config& config, const std::string& path) {
  for (const std::string& entry : config.secrets().allow_files()) {
    std::error_code error;
    std::string resolved = std::filesystem::canonical(entry, error).string();
    if (error) continue;
    if (entry.back() == '/' && resolved.back() != '/') resolved += '/';
    if (Matches(resolved, path)) return true;
  }
  return false;
}

// The path of what `fd` really is: no race with whoever moves links about.
std::string PathOf(int fd) {
  std::error_code error;
  return std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", fd), error).string();
}

absl::StatusOr<std::string> ReadAll(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return Unreadable(errno);
  if (!S_ISREG(info.st_mode)) return Unreadable(EINVAL);
  std::string content(kSecretFileBytesMax + 2, '\0');  // the limit, its newline and one too many
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = read(fd, content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unreadable(errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  content.resize(size);
  if (!content.empty() && content.back() == '\n') content.pop_back();
  if (content.size() > kSecretFileBytesMax) return Unreadable(EFBIG);
  return content;
}

}  // namespace

SecretSource MakeEnvSource(std::shared_ptr<const config::v1::Config> config) {
  return [config = std::move(config)](const std::string& name) -> absl::StatusOr<std::string> {
    const auto& allowed = config->secrets().allow_env();
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      return Denied("secrets.allow_env");
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      return absl::NotFoundError(
          "is not set in the daemon's environment; allowed: a variable that is");
    }
    return std::string(value);
  };
}

SecretSource MakeFileSource(std::shared_ptr<const config::v1::Config> config) {
  return [config = std::move(config)](const std::string& path) -> absl::StatusOr<std::string> {
    if (!IsListed(*config, path)) return Denied("secrets.allow_files");
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return Unreadable(errno);
    const absl::Cleanup closer = [fd] { close(fd); };
    if (!IsListedResolved(*config, PathOf(fd))) return Denied("secrets.allow_files");
    return ReadAll(fd);
  };
}

}  // namespace boxkeeper::daemon
