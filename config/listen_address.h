// "127.0.0.1:7433", "[::1]:0", "localhost:80", "unix:/run/x.sock".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace boxkeeper::config {

struct ListenAddress {
  std::string unix_path;  // empty = TCP
  std::string host;       // without brackets
  uint16_t port = 0;      // 0 = any free one
  // Only this host can reach it: 127.0.0.0/8, ::1 or "localhost". True for unix sockets.
  bool loopback = false;
};

// nullopt if `text` has neither form. A host is an IP address or a name of [A-Za-z0-9.-]; an IPv6
// address is in brackets.
std::optional<ListenAddress> ParseListenAddress(const std::string& text);
inline constexpr char kListenForm[] =
    "HOST:PORT, [IPV6]:PORT (port 0 to 65535; 0 = any free one) or unix:PATH";

}  // namespace boxkeeper::config
