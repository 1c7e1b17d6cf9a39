// The gRPC server: listeners, credentials, services, health, reflection.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "daemon/api/task_api.h"
#include "daemon/metrics/metrics.h"
#include "daemon/service/acceptor.h"
#include "daemon/service/admin_service.h"
#include "daemon/service/authenticator.h"
#include "daemon/service/call_host.h"
#include "daemon/service/executor_service.h"
#include "daemon/service/listener.h"
#include "daemon/service/loop_bridge.h"
#include "daemon/service/reflection_service.h"
#include "daemon/service/tls.h"

namespace boxkeeper::daemon {

struct GrpcServerOptions {
  std::vector<std::string> listen;  // as in the configuration's server.listen
  std::optional<TlsFiles> tls;      // of the TCP listeners
  std::string tokens_file;          // of the TCP listeners; empty = no tokens
  LoopBridge::Options bridge;
  std::chrono::nanoseconds event_stall_limit = std::chrono::seconds(60);  // see CallHost
};

// All outlive the server.
struct GrpcServerDeps {
  boost::asio::io_context& loop;
  base::Clock& clock;
  Metrics& metrics;
  TaskApi& api;
  PrepareFunction prepare;
  ReloadFunction reload;
  blobs::BlobStore* blobs = nullptr;  // null: PutBlob is refused
};

// Serves from Start on; until SetServing only health (NOT_SERVING) and Admin.GetStatus answer.
// Methods may be called from any thread but where they say otherwise. Stop: StopServing, EndCalls,
// then Shutdown while the loop still runs.
class GrpcServer {
 public:
  // kInvalidArgument, kFailedPrecondition: a listener, certificate or tokens file is unusable, and
  // why.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(GrpcServerDeps deps,
                                                           GrpcServerOptions options);
  ~GrpcServer();

  // Health becomes SERVING.
  void SetServing();
  // Health becomes NOT_SERVING and submits are refused; everything else is answered on.
  void StopServing();
  // On the loop: ends all calls that wait, streams among them, with UNAVAILABLE/SHUTTING_DOWN.
  void EndCalls();
  // Refuses new connections, tells clients to go away, and waits for open calls up to `grace`, then
  // cuts them. Blocks; not on the loop, which must run.
  void Shutdown(std::chrono::milliseconds grace);

  // Reads certificates and tokens again, for handshakes and calls that begin afterwards. On an
  // error the old ones stay. `tokens_file` may differ from before. Blocks on files.
  absl::Status Reload(const std::optional<TlsFiles>& tls, const std::string& tokens_file);

  // Where it listens, with the ports in use, as clients write them.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  GrpcServer(GrpcServerDeps deps, const GrpcServerOptions& options,
             std::shared_ptr<const TokenSet> tokens);
  absl::Status Listen(const std::vector<ListenAddress>& addresses);
  void SetHealth(bool serving);

  Authenticator authenticator_;
  LoopBridge bridge_;
  CallHost host_;
  ExecutorService executor_;
  AdminService admin_;
  ReflectionService reflection_;
  std::unique_ptr<TlsSource> tls_;  // nullptr = no TLS
  std::vector<std::shared_ptr<ReloadableTlsCredentials>> credentials_;
  std::vector<std::string> addresses_;
  // By which accepted connections come to `server_`; one per address.
  std::vector<std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>> transports_;
  std::unique_ptr<grpc::Server> server_;
  Acceptor acceptor_;  // last: goes first
};

}  // namespace boxkeeper::daemon
