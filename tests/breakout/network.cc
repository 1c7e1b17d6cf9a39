// Sockets: the host's services, other networks, and families beside them.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/breakout/probe.h"

namespace boxkeeper::breakout {
namespace {

constexpr int kFamilyAlg = 38;

// `wait`: for the answer; without, a connection that is under way counts as made.
long ConnectTo(const char* address, int port, int type, bool wait) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) return -1;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, address, &to.sin_addr);
  const int done = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to));
  return done == 0 || errno == EINPROGRESS ? 0 : -1;
}

long ConnectToAbstract(const std::string& name) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (fd < 0 || name.size() + 1 > sizeof(to.sun_path)) return -1;
  memcpy(to.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return connect(fd, reinterpret_cast<sockaddr*>(&to), length);
}

long Open(int family, int type, int protocol) {
  const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
  if (fd >= 0) close(fd);
  return fd;
}

}  // namespace

void TryNetwork(const Host& host) {
  Try(host, "connect_host_loopback", Harm::kNone,
      [&host] { return ConnectTo("127.0.0.1", host.tcp_port, SOCK_STREAM, true); });
  Try(host, "connect_host_abstract_socket", Harm::kNone,
      [&host] { return ConnectToAbstract(host.abstract_name); });
  Try(host, "connect_outside", Harm::kIfAllowed,
      [] { return ConnectTo("192.0.2.1", 80, SOCK_STREAM, false); });
  Try(host, "datagram_outside", Harm::kIfAllowed,
      [] { return ConnectTo("192.0.2.1", 53, SOCK_DGRAM, false); });
  Try(host, "connect_metadata_service", Harm::kIfAllowed,
      [] { return ConnectTo("169.254.169.254", 80, SOCK_STREAM, false); });
  Try(host, "packet_socket", Harm::kIfAllowed, [] { return Open(AF_PACKET, SOCK_RAW, htons(3)); });
  Try(host, "raw_icmp_socket", Harm::kIfAllowed,
      [] { return Open(AF_INET, SOCK_RAW, IPPROTO_ICMP); });
  Try(host, "vsock_socket", Harm::kNone, [] { return Open(AF_VSOCK, SOCK_STREAM, 0); });
  Try(host, "alg_socket", Harm::kIfAllowed, [] { return Open(kFamilyAlg, SOCK_SEQPACKET, 0); });
}

}  // namespace boxkeeper::breakout
