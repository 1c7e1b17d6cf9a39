#include "daemon/service/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::daemon {
namespace {

std::string ErrorText(int error) { return std::generic_category().message(error); }

absl::StatusOr<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("unix:", path, ": a socket's path has at most ",
                                                   sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// 0, or the errno of connecting to `path`.
int TryConnect(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const int error = connect(fd, generic, sizeof(address)) == 0 ? 0 : errno;
  close(fd);
  return error;
}

}  // namespace

std::string ToString(const ListenAddress& address) {
  if (!address.unix_path.empty()) return absl::StrCat("unix:", address.unix_path);
  if (address.host.find(':') != std::string::npos) {
    return absl::StrCat("[", address.host, "]:", address.port);
  }
  return absl::StrCat(address.host, ":", address.port);
}

absl::Status CheckExposure(const std::vector<ListenAddress>& addresses, bool tls,
                           bool authentication) {
  for (const ListenAddress& address : addresses) {
    if (address.loopback || (tls && authentication)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(address), ": an address that is not loopback needs TLS and ",
                     "authentication (client certificates or tokens)"));
  }
  return absl::OkStatus();
}

absl::Status ClearStaleSocket(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, UnixAddress(path));
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();  // binding will say what is wrong
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("unix:", path, ": something that is no socket is in the way"));
  }
  const int error = TryConnect(address);
  if (error == 0 || error == EAGAIN) {
    return absl::FailedPreconditionError(
        absl::StrCat("unix:", path, ": another process serves this socket"));
  }
  if (error != ECONNREFUSED) {
    return absl::FailedPreconditionError(absl::StrCat("unix:", path, ": ", ErrorText(error)));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::FailedPreconditionError(
        absl::StrCat("unix:", path, ": cannot remove the stale socket: ", ErrorText(errno)));
  }
  return absl::OkStatus();
}

}  // namespace boxkeeper::daemon
