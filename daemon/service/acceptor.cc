#include "daemon/service/acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace boxkeeper::daemon {
namespace {

// Between two looks while there are no descriptors.
constexpr int kPauseMs = 500;
// Accepted in one go before the other listeners have their turn.
constexpr int kAcceptsPerTurn = 64;
// Of the process's descriptors, what connections may not take: the tasks' starts and logs need
// some. At most an eighth of a small limit.
constexpr rlim_t kSpareDescriptors = 128;

std::string ErrorText(int error) { return std::generic_category().message(error); }

absl::Status CannotListen(const std::string& address, int error) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot listen on ", address, ": ", ErrorText(error)));
}

// No one but us may connect to a socket made meanwhile. Of the whole process, so kept short; files
// others make at this moment are only more private for it.
class PrivateUmask {
 public:
  PrivateUmask() : before_(umask(0077)) {}
  ~PrivateUmask() { umask(before_); }

 private:
  const mode_t before_;
};

struct Addresses {
  Addresses() = default;
  ~Addresses() {
    if (first != nullptr) freeaddrinfo(first);
  }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  addrinfo* first = nullptr;
};

void SetPort(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  }
}

uint16_t PortOf(int socket) {
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &length);
  // At the same place in both families.
  return ntohs(reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

// 0, or the errno of what failed.
int BindTcp(const addrinfo& at, base::UniqueFd* out) {
  base::UniqueFd fd(socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), at.ai_addr, at.ai_addrlen) != 0) return errno;
  if (listen(fd.get(), SOMAXCONN) != 0) return errno;
  *out = std::move(fd);
  return 0;
}

// Whether descriptor number `fd`, the lowest that was free, is among the last ones.
bool IsAmongTheLast(int fd) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const rlim_t spare = std::min(kSpareDescriptors, limit.rlim_cur / 8);
  return static_cast<rlim_t>(fd) + spare >= limit.rlim_cur;
}

}  // namespace

Acceptor::Acceptor() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Acceptor::~Acceptor() { Stop(); }

absl::StatusOr<uint16_t> Acceptor::Listen(const ListenAddress& address, Take take) {
  auto shared = std::make_shared<const Take>(std::move(take));
  if (!address.unix_path.empty()) {
    RETURN_IF_ERROR(ListenUnix(address.unix_path, std::move(shared)));
    return 0;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  Addresses found;
  const int failed =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found.first);
  if (failed != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", ToString(address), ": ", gai_strerror(failed)));
  }
  uint16_t port = address.port;
  int error = 0;
  bool bound = false;
  for (addrinfo* at = found.first; at != nullptr; at = at->ai_next) {
    SetPort(at->ai_addr, port);
    base::UniqueFd socket;
    error = BindTcp(*at, &socket);
    // Somebody else's port is never shared; a family that this host does not have is no obstacle.
    if (error == EADDRINUSE) return CannotListen(ToString(address), error);
    if (error != 0) continue;
    port = PortOf(socket.get());
    bound = true;
    listeners_.push_back({std::move(socket), shared});
  }
  if (!bound) return CannotListen(ToString(address), error);
  return port;
}

absl::Status Acceptor::ListenUnix(const std::string& path, std::shared_ptr<const Take> take) {
  RETURN_IF_ERROR(ClearStaleSocket(path));  // and its length is right
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const PrivateUmask umask;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (!fd.valid() || bind(fd.get(), generic, sizeof(address)) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return CannotListen(absl::StrCat("unix:", path), errno);
  }
  chmod(path.c_str(), 0600);
  unix_paths_.push_back(path);
  listeners_.push_back({std::move(fd), std::move(take)});
  return absl::OkStatus();
}

void Acceptor::Start() {
  CHECK(wake_.valid() && !thread_.joinable());
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
    thread_.join();
  }
  listeners_.clear();
  for (const std::string& path : std::exchange(unix_paths_, {})) unlink(path.c_str());
}

void Acceptor::Run() {
  std::vector<pollfd> waiting = {{wake_.get(), POLLIN, 0}};
  for (const Listener& listener : listeners_) waiting.push_back({listener.socket.get(), POLLIN, 0});
  bool pausing = false;
  while (true) {
    // What waits at the listeners would wake us at once: while pausing only the stop does.
    const int ready = poll(waiting.data(), pausing ? 1 : waiting.size(), pausing ? kPauseMs : -1);
    if (ready < 0 && errno != EINTR) CHECK(errno == ENOMEM);
    if (waiting[0].revents != 0) return;
    pausing = false;
    for (const Listener& listener : listeners_) pausing = !AcceptSome(listener) || pausing;
  }
}

bool Acceptor::AcceptSome(const Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    base::UniqueFd connection(
        accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.valid()) {
      if (errno == EAGAIN) return true;
      // The caller went away again, or the network has news for it.
      const bool resources =
          errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (!resources) continue;
      Complain(ErrorText(errno));
      return false;
    }
    if (IsAmongTheLast(connection.get())) {
      Complain("the descriptors that are left are kept for tasks");
      return false;
    }
    complained_ = false;
    const int on = 1;
    setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // TCP only
    (*listener.take)(listener.socket.get(), connection.Release());
  }
  return true;
}

// Once, until connections are taken again.
void Acceptor::Complain(const std::string& why) {
  if (std::exchange(complained_, true)) return;
  base::LogWarning("connections are refused; raise the limit of open files (RLIMIT_NOFILE)",
                   {{"why", why}});
}

}  // namespace boxkeeper::daemon
