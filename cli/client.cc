#include "cli/client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boxkeeper/v1/admin.grpc.pb.h"
#include "boxkeeper/v1/executor.grpc.pb.h"
#include "cli/human.h"
#include "cli/rpc_error.h"

namespace boxkeeper::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr int kReconnectBackoffMinMs = 50;  // the daemon is back within a second: be there
constexpr int kReconnectBackoffMaxMs = 1000;

std::chrono::system_clock::time_point DeadlineIn(absl::Duration duration) {
  return std::chrono::system_clock::now() + absl::ToChronoNanoseconds(duration);
}

std::shared_ptr<grpc::Channel> MakeChannel(const Connection& connection) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY,
              0);  // the daemon is near; an http_proxy of the environment is for others
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectBackoffMinMs);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);  // for one attempt to connect
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectBackoffMaxMs);
  args.SetMaxReceiveMessageSize(
      -1);  // a page of 1 000 tasks may be large; the server bounds what it sends
  args.SetUserAgentPrefix("boxctl");
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (connection.tls) {
    credentials =
        grpc::SslCredentials({connection.ca_pem, connection.key_pem, connection.cert_pem});
  }
  return grpc::CreateCustomChannel(connection.target, credentials, args);
}

// gRPC's account of a failed connection has several layers; only the innermost says anything.
std::string Essence(std::string message) {
  for (const char* shell : {"last error: ", "UNKNOWN: ", "UNAVAILABLE: "}) {
    const size_t found = message.rfind(shell);
    if (found != std::string::npos) message = message.substr(found + std::strlen(shell));
  }
  return message;
}

std::string WhatToDo(const std::string& why, bool tls) {
  if (tls && (absl::StrContains(why, "andshake") || absl::StrContains(why, "Socket closed"))) {
    return "check that --ca-file fits the server's certificate, and --cert-file and --key-file "
           "what "
           "it asks for";
  }
  if (!tls && (absl::StrContains(why, "Socket closed") || absl::StrContains(why, "reset"))) {
    return "the server hung up: if it speaks TLS, give --ca-file";
  }
  return "start it, or name it with --server or BOXKEEPER_SERVER";
}

}  // namespace

struct Client::Impl {
  explicit Impl(const Connection& connection)
      : connection(connection),
        channel(MakeChannel(connection)),
        executor(v1::Executor::NewStub(channel)),
        admin(v1::Admin::NewStub(channel)) {}

  // A call's context; known to Stop as long as it lives.
  class Call {
   public:
    Call(Impl& impl, std::optional<absl::Duration> timeout) : impl_(impl) {
      if (timeout) context_.set_deadline(DeadlineIn(*timeout));
      if (!impl.connection.token.empty()) {
        context_.AddMetadata("authorization", "Bearer " + impl.connection.token);
      }
      std::lock_guard lock(impl_.mutex);
      impl_.calls.insert(&context_);
      if (impl_.stopped) context_.TryCancel();
    }
    ~Call() {
      std::lock_guard lock(impl_.mutex);
      impl_.calls.erase(&context_);
    }
    grpc::ClientContext* context() { return &context_; }

   private:
    Impl& impl_;
    grpc::ClientContext context_;
  };

  absl::Status Unreachable(const std::string& why) const {
    return OwnError(absl::StatusCode::kUnavailable, "UNREACHABLE",
                    absl::StrCat("cannot reach boxkeeperd at ", connection.address, " (", why,
                                 "); ", WhatToDo(why, connection.tls)));
  }

  absl::Status ToStatus(const grpc::Status& status) const {
    if (status.ok()) return absl::OkStatus();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
      return Unreachable(
          Essence(status.error_message()));  // the transport's word, not the daemon's
    }
    return WithDetails(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                       status.error_details());
  }

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Unary(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
                                 const Request& request, absl::Duration timeout = kCallTimeout) {
    Call call(*this, timeout);
    Response response;
    absl::Status status = ToStatus((stub.*method)(call.context(), request, &response));
    if (!status.ok()) return status;
    return response;
  }

  template <typename Response, typename Start>
  absl::Status Stream(Start start, const std::function<bool(const Response&)>& on_message) {
    Call call(*this, std::nullopt);
    auto reader = start(call.context());
    Response response;
    while (reader->Read(&response)) {
      if (on_message(response)) continue;
      call.context()->TryCancel();
      while (reader->Read(&response)) {
      }
      (void)reader->Finish();  // cancelled by ourselves
      return absl::OkStatus();
    }
    return ToStatus(reader->Finish());
  }

  const Connection& connection;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::Executor::Stub> executor;
  const std::unique_ptr<v1::Admin::Stub> admin;

  std::mutex mutex;
  std::condition_variable stop_changed;
  bool stopped = false;
  std::set<grpc::ClientContext*> calls;
};

Client::Client(Connection connection)
    : connection_(std::move(connection)), impl_(std::make_unique<Impl>(connection_)) {}

Client::~Client() = default;

absl::Status Client::Connect() {
  const auto deadline = DeadlineIn(kConnectTimeout);
  for (;;) {
    grpc_connectivity_state state = impl_->channel->GetState(true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      // Any call now fails at once and knows why.
      absl::Status why = GetStatus().status();
      return why.code() == absl::StatusCode::kUnavailable ? why : absl::OkStatus();
    }
    if (!impl_->channel->WaitForStateChange(state, deadline)) {
      return impl_->Unreachable(absl::StrCat("no answer within ", HumanDuration(kConnectTimeout)));
    }
  }
}

absl::StatusOr<v1::SubmitTasksResponse> Client::Submit(const v1::SubmitTasksRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::SubmitTasks, request);
}

absl::StatusOr<v1::Task> Client::GetTask(const v1::GetTaskRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::GetTask, request);
}

absl::StatusOr<v1::ListTasksResponse> Client::ListTasks(const v1::ListTasksRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::ListTasks, request);
}

absl::StatusOr<v1::WaitTaskResponse> Client::WaitTask(const v1::WaitTaskRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::WaitTask, request,
                      FromProto(request.timeout()) + kCallTimeout);
}

absl::StatusOr<v1::CancelTasksResponse> Client::CancelTasks(const v1::CancelTasksRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::CancelTasks, request);
}

absl::StatusOr<v1::RenewLeaseResponse> Client::RenewLease(const v1::RenewLeaseRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::RenewLease, request);
}

absl::StatusOr<v1::GetStatusResponse> Client::GetStatus() {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::GetStatus, v1::GetStatusRequest());
}

absl::StatusOr<v1::ListOrphansResponse> Client::ListOrphans(const v1::ListOrphansRequest& request) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::ListOrphans, request, 4 * kCallTimeout);
}

absl::StatusOr<v1::ReapOrphansResponse> Client::ReapOrphans(const v1::ReapOrphansRequest& request) {
  // It destroys one after another.
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::ReapOrphans, request, 40 * kCallTimeout);
}

absl::StatusOr<v1::ListSandboxesResponse> Client::ListSandboxes(
    const v1::ListSandboxesRequest& request) {
  // The daemon asks every provider first.
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::ListSandboxes, request, 4 * kCallTimeout);
}

absl::StatusOr<v1::ListProvidersResponse> Client::ListProviders() {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::ListProviders, v1::ListProvidersRequest());
}

absl::StatusOr<v1::DrainResponse> Client::Drain(const v1::DrainRequest& request) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::Drain, request);
}

absl::StatusOr<v1::ReloadResponse> Client::Reload() {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::Reload, v1::ReloadRequest());
}

absl::StatusOr<v1::AbandonTaskResponse> Client::AbandonTask(const v1::AbandonTaskRequest& request) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::AbandonTask, request);
}

absl::Status Client::ReadLog(const v1::ReadLogRequest& request,
                             const std::function<bool(const v1::ReadLogResponse&)>& on_message) {
  return impl_->Stream<v1::ReadLogResponse>(
      [&](grpc::ClientContext* context) { return impl_->executor->ReadLog(context, request); },
      on_message);
}

absl::StatusOr<v1::PutBlobResponse> Client::PutBlob(
    const v1::PutBlobRequest& first, const std::function<absl::StatusOr<std::string>()>& next) {
  Impl::Call call(*impl_, std::nullopt);
  v1::PutBlobResponse response;
  auto writer = impl_->executor->PutBlob(call.context(), &response);
  // False: the daemon has answered, or the connection is gone; Finish says which.
  bool wanted = writer->Write(first);
  while (wanted) {
    auto piece = next();
    if (!piece.ok()) {
      call.context()->TryCancel();
      (void)writer->Finish();  // cancelled by ourselves
      return piece.status();
    }
    if (piece->empty()) break;
    v1::PutBlobRequest request;
    request.set_data(*std::move(piece));
    wanted = writer->Write(request);
  }
  if (wanted) writer->WritesDone();
  absl::Status status = impl_->ToStatus(writer->Finish());
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::ListArtifactsResponse> Client::ListArtifacts(
    const v1::ListArtifactsRequest& request) {
  return impl_->Unary(*impl_->executor, &v1::Executor::Stub::ListArtifacts, request);
}

absl::Status Client::ReadArtifact(
    const v1::ReadArtifactRequest& request,
    const std::function<bool(const v1::ReadArtifactResponse&)>& on_message) {
  return impl_->Stream<v1::ReadArtifactResponse>(
      [&](grpc::ClientContext* context) { return impl_->executor->ReadArtifact(context, request); },
      on_message);
}

absl::Status Client::WatchEvents(
    const v1::WatchEventsRequest& request,
    const std::function<bool(const v1::WatchEventsResponse&)>& on_message) {
  return impl_->Stream<v1::WatchEventsResponse>(
      [&](grpc::ClientContext* context) { return impl_->executor->WatchEvents(context, request); },
      on_message);
}

void Client::Stop() {
  std::lock_guard lock(impl_->mutex);
  impl_->stopped = true;
  for (grpc::ClientContext* context : impl_->calls) context->TryCancel();
  impl_->stop_changed.notify_all();
}

bool Client::stopped() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->stopped;
}

bool Client::Pause(absl::Duration duration) {
  std::unique_lock lock(impl_->mutex);
  return !impl_->stop_changed.wait_for(lock, absl::ToChronoNanoseconds(duration),
                                       [this] { return impl_->stopped; });
}

}  // namespace boxkeeper::cli
