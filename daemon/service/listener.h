// What a listening address requires, and safe unix sockets.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "config/listen_address.h"

namespace boxkeeper::daemon {

using config::ListenAddress;

// As gRPC and people write it: "127.0.0.1:7433", "[::1]:7433", "unix:/run/boxkeeper/api.sock".
std::string ToString(const ListenAddress& address);

// kFailedPrecondition if some listener is reachable from outside without TLS or without
// authentication of callers. The configuration is checked for the same; here it is the last line of
// defence.
absl::Status CheckExposure(const std::vector<ListenAddress>& addresses, bool tls,
                           bool authentication);

// Makes way for a socket at `path`: a stale one (nobody accepts) is removed. kFailedPrecondition if
// somebody serves it or if it is no socket; kInvalidArgument if the path is too long for one.
absl::Status ClearStaleSocket(const std::string& path);

}  // namespace boxkeeper::daemon
