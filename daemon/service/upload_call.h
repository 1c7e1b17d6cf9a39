// A client stream that is pulled: the client's next message is taken only when the handler asks.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "daemon/service/call_host.h"
#include "daemon/service/grpc_status.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {

// Owns itself from Serve to OnDone. The handler is a coroutine on the loop that calls Read; its
// result is the call's answer, also before the client has sent everything. One message is held at
// most, within the bridge's budget; messages are parsed off the loop.
template <typename Request, typename Response>
class UploadCall final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  using Handler = std::function<boost::asio::awaitable<absl::StatusOr<Response>>(UploadCall&)>;

  // A client that sends nothing for `stall_limit` is cut.
  static grpc::ServerReadReactor<grpc::ByteBuffer>* Serve(CallHost& host,
                                                          grpc::CallbackServerContext* context,
                                                          grpc::ByteBuffer* response,
                                                          std::chrono::nanoseconds stall_limit,
                                                          Handler handler) {
    auto* call = new UploadCall(host, context, response, stall_limit, std::move(handler));
    if (!host.bridge.ToLoop([call] { call->Run(); })) call->Finish(ToGrpcStatus(ServerBusy()));
    return call;
  }

  static grpc::ServerReadReactor<grpc::ByteBuffer>* Refuse(const absl::Status& status) {
    return new Refused(status);
  }

  // For the handler, one at a time: the next message; nullopt after the last. Not cancellable: gRPC
  // always says. kCancelled: the client has gone.
  boost::asio::awaitable<absl::StatusOr<std::optional<Request>>> Read() {
    ReleaseMessage();
    stall_alarm_->Set(host_.clock.Boot() + stall_limit_, [this] { context_->TryCancel(); });
    auto initiate = [this](auto handler) {
      read_ = [handler = std::move(handler)](Message message) mutable {
        std::move(handler)(std::move(message));
      };
      host_.bridge.OffLoop([this] { this->StartRead(&wire_); });
    };
    Message message =
        co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void(Message)>(
            initiate, boost::asio::use_awaitable);
    stall_alarm_->Cancel();
    if (message.ok() && !message->has_value() && context_->IsCancelled()) {
      co_return absl::CancelledError("the caller went away");
    }
    co_return message;
  }

  void OnReadDone(bool ok) override {
    Message message = std::optional<Request>();
    if (ok) message = Parse();
    wire_.Clear();
    host_.bridge.ToLoopAlways([this, message = std::move(message)]() mutable {
      auto read = std::move(read_);
      read(std::move(message));
    });
  }

  void OnCancel() override {
    host_.bridge.ToLoopAlways(
        [open = open_] { open->Cancel(absl::CancelledError("the caller went away")); });
  }

  void OnDone() override {
    ReleaseMessage();
    delete this;
  }

 private:
  using Message = absl::StatusOr<std::optional<Request>>;

  class Refused final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
   public:
    explicit Refused(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
    void OnDone() override { delete this; }
  };

  UploadCall(CallHost& host, grpc::CallbackServerContext* context, grpc::ByteBuffer* wire_response,
             std::chrono::nanoseconds stall_limit, Handler handler)
      : host_(host),
        context_(context),
        wire_response_(wire_response),
        stall_limit_(stall_limit),
        handler_(std::move(handler)) {}

  Message Parse() {
    const auto bytes = static_cast<int64_t>(wire_.Length());
    if (!host_.bridge.Reserve(bytes)) return ServerBusy();
    held_bytes_ = bytes;
    Request request;
    absl::Status parsed = ParseRequest(wire_, request);
    if (!parsed.ok()) return parsed;
    return std::optional<Request>(std::move(request));
  }

  void ReleaseMessage() { host_.bridge.Release(std::exchange(held_bytes_, 0)); }

  void Run() {
    if (open_->cancelled()) return Answer(open_->why());
    host_.Opened(open_);
    stall_alarm_ = host_.clock.NewAlarm(host_.bridge.executor());
    auto done = [this](std::exception_ptr escaped, absl::StatusOr<Response> result) {
      host_.Closed(open_);
      stall_alarm_.reset();  // it belongs to the loop; OnDone does not run there
      const absl::Status status = StatusOfCall(*open_, escaped, result.status());
      if (status.ok()) response_ = *std::move(result);
      Answer(status);
    };
    boost::asio::co_spawn(host_.bridge.executor(), handler_(*this),
                          boost::asio::bind_cancellation_slot(open_->slot(), std::move(done)));
  }

  // After the hand-over nothing here may touch the call: OnDone may already have deleted it.
  void Answer(const absl::Status& status) {
    host_.bridge.OffLoop([this, status] {
      this->Finish(status.ok() ? SerializeResponse(response_, *wire_response_)
                               : ToGrpcStatus(status));
    });
  }

  CallHost& host_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const wire_response_;
  const std::chrono::nanoseconds stall_limit_;
  Handler handler_;
  const std::shared_ptr<OpenCall> open_ = std::make_shared<OpenCall>();
  std::unique_ptr<base::Alarm> stall_alarm_;
  Response response_;
  grpc::ByteBuffer wire_;                   // of the message that is being read
  int64_t held_bytes_ = 0;                  // of the message that the handler has
  absl::AnyInvocable<void(Message)> read_;  // of the one read in flight
};

}  // namespace boxkeeper::daemon
