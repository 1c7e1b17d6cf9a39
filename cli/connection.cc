#include "cli/connection.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/files.h"

namespace boxkeeper::cli {
namespace {

struct Address {
  std::string host;  // empty for a unix socket
  std::string text;
  std::string target;
};

absl::Status BadServer(const std::string& server, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("--server '", server, "': ", why, "; it is HOST:PORT or unix:/PATH"));
}

bool IsPort(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(text) >= 1 && std::stoi(text) <= 65535;
}

absl::StatusOr<Address> ParseAddress(const std::string& server) {
  if (server.rfind("unix:", 0) == 0) {
    std::string path = server.substr(5);
    if (path.rfind("//", 0) == 0) path = path.substr(2);  // unix:///path is as good as unix:/path
    if (path.empty()) return BadServer(server, "no path");
    return Address{"", server, "unix:" + path};
  }
  if (server.find("://") != std::string::npos) return BadServer(server, "is no URL");
  std::string host = server;
  std::string port = "7433";
  const size_t bracket = server.rfind(']');
  const size_t colon = server.rfind(':');
  const bool one_colon = std::count(server.begin(), server.end(), ':') == 1;
  if (colon != std::string::npos &&
      (one_colon || (bracket != std::string::npos && colon > bracket))) {
    host = server.substr(0, colon);
    port = server.substr(colon + 1);
  }
  if (!host.empty() && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty()) return BadServer(server, "no host");
  if (!IsPort(port)) return BadServer(server, "bad port");
  const bool v6 = host.find(':') != std::string::npos;
  const std::string text = absl::StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
  return Address{host, text, "dns:///" + text};
}

bool IsLocal(const Address& address) {
  const std::string& host = address.host;
  if (host.empty() || host == "localhost" || host == "::1") return true;
  return host.rfind("127.", 0) == 0 && std::all_of(host.begin(), host.end(), [](char c) {
           return c == '.' || (c >= '0' && c <= '9');
         });
}

absl::Status ReadInto(const std::string& flag, const std::string& path, std::string& out) {
  if (path.empty()) return absl::OkStatus();
  auto content = ReadLocalFile(path);
  if (!content.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", std::string(content.status().message())));
  }
  out = *std::move(content);
  return absl::OkStatus();
}

absl::Status ReadToken(const std::string& path, std::string& token) {
  RETURN_IF_ERROR(ReadInto("--token-file", path, token));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) {
    token.pop_back();
  }
  if (!path.empty() && token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--token-file: '", path, "' is empty"));
  }
  // Anything else is no HTTP header value, and gRPC would end the process over it.
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("--token-file: '", path, "' must hold one line of printable ASCII"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Connection> MakeConnection(const ConnectionFlags& flags) {
  ASSIGN_OR_RETURN(Address address,
                   ParseAddress(flags.server.empty() ? kDefaultServer : flags.server));
  if (flags.cert_file.empty() != flags.key_file.empty()) {
    return absl::InvalidArgumentError("--cert-file and --key-file go together");
  }
  if (!flags.cert_file.empty() && flags.ca_file.empty()) {
    return absl::InvalidArgumentError(
        "--cert-file needs --ca-file: the certificate that the server's is checked against");
  }
  Connection connection;
  connection.address = address.text;
  connection.target = address.target;
  connection.tls = !flags.ca_file.empty();
  connection.reconnect_timeout = flags.reconnect_timeout;
  RETURN_IF_ERROR(ReadInto("--ca-file", flags.ca_file, connection.ca_pem));
  RETURN_IF_ERROR(ReadInto("--cert-file", flags.cert_file, connection.cert_pem));
  RETURN_IF_ERROR(ReadInto("--key-file", flags.key_file, connection.key_pem));
  RETURN_IF_ERROR(ReadToken(flags.token_file, connection.token));
  if (!connection.token.empty() && !connection.tls && !IsLocal(address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("refusing to send a token in plain text to ", address.text,
                     ": give --ca-file for TLS, or use a loopback address or a unix socket"));
  }
  return connection;
}

}  // namespace boxkeeper::cli
