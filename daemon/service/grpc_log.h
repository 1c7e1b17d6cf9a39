// gRPC's own log lines go where ours go.
#pragma once

namespace boxkeeper::daemon {

// Once, before the first use of gRPC. Its errors become warnings: what matters to us we notice
// ourselves.
void RouteGrpcLog();

}  // namespace boxkeeper::daemon
