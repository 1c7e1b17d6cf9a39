// Where the daemon is and how to speak to it: address, certificates, token. No gRPC in here.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace boxkeeper::cli {

constexpr char kDefaultServer[] = "127.0.0.1:7433";

struct ConnectionFlags {
  std::string server;  // "host:port", "host", "[::1]:port" or "unix:/path"; empty = kDefaultServer
  std::string ca_file, cert_file, key_file, token_file;
  absl::Duration reconnect_timeout =
      absl::Minutes(5);  // how long to try again once the daemon is gone
};

// Ready to connect: files read, checked.
struct Connection {
  std::string address;  // as people write it
  std::string target;   // as gRPC takes it
  bool tls = false;
  std::string ca_pem, cert_pem, key_pem;
  std::string token;  // without its line end; empty = none
  absl::Duration reconnect_timeout;
};

// kInvalidArgument names the flag that is wrong. A token without TLS is refused but for loopback
// and unix sockets: anyone on the way could read it.
absl::StatusOr<Connection> MakeConnection(const ConnectionFlags& flags);

}  // namespace boxkeeper::cli
