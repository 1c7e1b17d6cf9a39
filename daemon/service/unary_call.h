// A unary call whose answer is an awaitable of the core.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "daemon/service/call_host.h"
#include "daemon/service/grpc_status.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {

// Owns itself from Serve to OnDone. The handler runs on the loop; the answer is serialised and sent
// off the loop. A client that goes away, or whose deadline passes, cancels the awaitable.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  using Handler = std::function<boost::asio::awaitable<absl::StatusOr<Response>>(Request)>;

  static grpc::ServerUnaryReactor* Serve(CallHost& host, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response, Handler handler) {
    absl::Status refused = host.Admit(*context);
    if (!refused.ok()) return Refuse(context, refused);
    return ServeAdmitted(host, context, request, response, std::move(handler));
  }

  // Without asking who calls: the caller did.
  static grpc::ServerUnaryReactor* ServeAdmitted(CallHost& host,
                                                 grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response, Handler handler) {
    const auto bytes = static_cast<int64_t>(request->Length());
    if (!host.bridge.Reserve(bytes)) return Refuse(context, ServerBusy());
    Request parsed;
    absl::Status refused = ParseRequest(*request, parsed);
    if (refused.ok()) refused = CheckRequest(parsed);
    if (!refused.ok()) {
      host.bridge.Release(bytes);
      return Refuse(context, refused);
    }
    auto* call = new UnaryCall(host, bytes, std::move(parsed), response, std::move(handler));
    if (!host.bridge.ToLoop([call] { call->Run(); })) call->Finish(ToGrpcStatus(ServerBusy()));
    return call;
  }

  static grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                          const absl::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }

  void OnCancel() override {
    host_.bridge.ToLoopAlways(
        [open = open_] { open->Cancel(absl::CancelledError("the caller went away")); });
  }

  void OnDone() override {
    host_.bridge.Release(bytes_);
    delete this;
  }

 private:
  UnaryCall(CallHost& host, int64_t bytes, Request request, grpc::ByteBuffer* wire_response,
            Handler handler)
      : host_(host),
        bytes_(bytes),
        request_(std::move(request)),
        wire_response_(wire_response),
        handler_(std::move(handler)) {}

  void Run() {
    if (open_->cancelled()) return Answer(open_->why());
    host_.Opened(open_);
    auto done = [this](std::exception_ptr escaped, absl::StatusOr<Response> result) {
      host_.Closed(open_);
      const absl::Status status = StatusOfCall(*open_, escaped, result.status());
      if (status.ok()) response_ = *std::move(result);
      Answer(status);
    };
    boost::asio::co_spawn(host_.bridge.executor(), handler_(std::move(request_)),
                          boost::asio::bind_cancellation_slot(open_->slot(), std::move(done)));
  }

  // After the hand-over nothing here may touch the call: OnDone may already have deleted it.
  void Answer(const absl::Status& status) {
    host_.bridge.OffLoop([this, status] {
      Finish(status.ok() ? SerializeResponse(response_, *wire_response_) : ToGrpcStatus(status));
    });
  }

  CallHost& host_;
  const int64_t bytes_;
  Request request_;
  Response response_;
  grpc::ByteBuffer* const wire_response_;
  Handler handler_;
  const std::shared_ptr<OpenCall> open_ = std::make_shared<OpenCall>();
};

// An answer that is there at once.
template <typename Response>
boost::asio::awaitable<absl::StatusOr<Response>> Ready(absl::StatusOr<Response> response) {
  co_return response;
}

}  // namespace boxkeeper::daemon
