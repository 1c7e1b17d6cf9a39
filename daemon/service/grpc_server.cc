#include "daemon/service/grpc_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "daemon/service/request_checks.h"

namespace boxkeeper::daemon {
namespace {

constexpr char kExecutor[] = "boxkeeper.v1.Executor";
constexpr char kAdmin[] = "boxkeeper.v1.Admin";

// Per connection; more wait at the client.
constexpr int kConcurrentStreamsMax = 2048;
// A client that vanished is noticed within 40 s; one that is silent but alive keeps its streams.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Clients may ping this often, also without a call.
constexpr int kMinPingIntervalMs = 5'000;
constexpr int kMetadataBytesMax = 16 << 10;

absl::StatusOr<std::shared_ptr<const TokenSet>> TokensOf(const std::string& file) {
  if (file.empty()) return nullptr;
  ASSIGN_OR_RETURN(TokenSet tokens, LoadTokens(file));
  return std::make_shared<const TokenSet>(std::move(tokens));
}

void Tune(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kReceiveBytesMax));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kConcurrentStreamsMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(GrpcServerDeps deps,
                                                              GrpcServerOptions options) {
  std::vector<ListenAddress> addresses;
  for (const std::string& text : options.listen) {
    auto address = config::ParseListenAddress(text);
    if (!address.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "': expected ", config::kListenForm));
    }
    addresses.push_back(*std::move(address));
  }
  ASSIGN_OR_RETURN(auto tokens, TokensOf(options.tokens_file));
  std::unique_ptr<TlsSource> tls;
  if (options.tls.has_value()) {
    ASSIGN_OR_RETURN(TlsMaterial material, LoadTls(*options.tls));
    tls = std::make_unique<TlsSource>(std::move(material));
  }
  const bool authentication =
      tokens != nullptr || (tls != nullptr && tls->asks_for_client_certificates());
  RETURN_IF_ERROR(CheckExposure(addresses, tls != nullptr, authentication));

  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(deps), options, std::move(tokens)));
  server->tls_ = std::move(tls);
  RETURN_IF_ERROR(server->Listen(addresses));
  return server;
}

GrpcServer::GrpcServer(GrpcServerDeps deps, const GrpcServerOptions& options,
                       std::shared_ptr<const TokenSet> tokens)
    : authenticator_(std::move(tokens)),
      bridge_(deps.loop, deps.metrics, options.bridge),
      host_(bridge_, deps.clock, authenticator_, deps.metrics),
      executor_(host_, deps.api, std::move(deps.prepare), deps.blobs),
      admin_(host_, deps.api, std::move(deps.reload)),
      reflection_(host_, {kExecutor, kAdmin, "grpc.health.v1.Health",
                          "grpc.reflection.v1alpha.ServerReflection"}) {
  host_.event_stall_limit = options.event_stall_limit;
}

GrpcServer::~GrpcServer() = default;

absl::Status GrpcServer::Listen(const std::vector<ListenAddress>& addresses) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  Tune(builder);
  for (ListenAddress address : addresses) {
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (address.unix_path.empty() && tls_ != nullptr) {
      credentials_.push_back(std::make_shared<ReloadableTlsCredentials>(*tls_));
      credentials = credentials_.back();
    }
    using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    transports_.push_back(
        builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD, credentials));
    auto take = [transport = transports_.back().get()](int listener, int connection) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters arrived;
      arrived.listener_fd = listener;
      arrived.fd = connection;
      transport->HandleNewConnection(&arrived);
    };
    ASSIGN_OR_RETURN(address.port, acceptor_.Listen(address, std::move(take)));
    addresses_.push_back(ToString(address));
  }
  builder.RegisterService(&executor_);
  builder.RegisterService(&admin_);
  builder.RegisterService(&reflection_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::FailedPreconditionError("cannot listen");
  SetHealth(false);
  acceptor_.Start();
  return absl::OkStatus();
}

void GrpcServer::SetHealth(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  for (const char* service : {"", kExecutor, kAdmin}) health->SetServingStatus(service, serving);
}

void GrpcServer::SetServing() {
  host_.state.store(ServingState::kServing, std::memory_order_release);
  SetHealth(true);
}

void GrpcServer::StopServing() {
  host_.state.store(ServingState::kStopping, std::memory_order_release);
  SetHealth(false);
}

void GrpcServer::EndCalls() { host_.CancelAll(ShuttingDown()); }

void GrpcServer::Shutdown(std::chrono::milliseconds grace) {
  acceptor_.Stop();
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
}

absl::Status GrpcServer::Reload(const std::optional<TlsFiles>& tls,
                                const std::string& tokens_file) {
  ASSIGN_OR_RETURN(auto tokens, TokensOf(tokens_file));
  if (tls.has_value() != (tls_ != nullptr)) {
    return absl::FailedPreconditionError("server.tls: switching TLS on or off needs a restart");
  }
  if (tls.has_value()) {
    ASSIGN_OR_RETURN(TlsMaterial material, LoadTls(*tls));
    RETURN_IF_ERROR(tls_->Replace(std::move(material)));
  }
  authenticator_.Replace(std::move(tokens));
  return absl::OkStatus();
}

}  // namespace boxkeeper::daemon
