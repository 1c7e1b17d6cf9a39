#include "config/listen_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace boxkeeper::config {
namespace {

bool IsHostName(const std::string& host) {
  return !host.empty() && host.size() <= 253 && host[0] != '-' && host[0] != '.' &&
         std::all_of(host.begin(), host.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '-'; });
}

bool LooksLikeIpv4(const std::string& host) {
  return host.find_first_not_of("0123456789.") == std::string::npos;
}

bool SetHost(const std::string& host, bool bracketed, ListenAddress* address) {
  address->host = host;
  if (bracketed) {
    in6_addr ip{};
    if (inet_pton(AF_INET6, host.c_str(), &ip) != 1) return false;
    address->loopback = IN6_IS_ADDR_LOOPBACK(&ip);
    return true;
  }
  if (LooksLikeIpv4(host)) {
    in_addr ip{};
    if (inet_pton(AF_INET, host.c_str(), &ip) != 1) return false;
    address->loopback = (ntohl(ip.s_addr) >> 24) == 127;
    return true;
  }
  address->loopback = host == "localhost";
  return IsHostName(host);
}

}  // namespace

std::optional<ListenAddress> ParseListenAddress(const std::string& text) {
  ListenAddress address;
  if (text.rfind("unix:", 0) == 0) {
    address.unix_path = text.substr(5);
    address.loopback = true;
    if (address.unix_path.rfind("//", 0) == 0) address.unix_path.erase(0, 2);  // unix:///path
    if (address.unix_path.empty() || address.unix_path.back() == '/') return std::nullopt;
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + colon + 1, end, address.port);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!SetHost(host, bracketed, &address)) return std::nullopt;
  return address;
}

}  // namespace boxkeeper::config
