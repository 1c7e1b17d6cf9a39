// A server stream that pulls: it asks its source for the next message only when the client has
// taken the last one.
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
#include "daemon/service/call_host.h"
#include "daemon/service/grpc_status.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {

// Owns itself from Serve to OnDone. The pump is a coroutine on the loop that calls Write; its
// result is the call's status. One message is held at most, whatever the client does; messages are
// serialised and sent off the loop.
template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  using Pump = std::function<boost::asio::awaitable<absl::Status>(StreamCall&)>;

  struct Options {
    // A client that does not take a message for this long is cut; it resumes from the last one it
    // got. Absent: never.
    std::optional<std::chrono::nanoseconds> stall_limit;
  };

  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Serve(CallHost& host,
                                                           grpc::CallbackServerContext* context,
                                                           Options options, Pump pump) {
    auto* call = new StreamCall(host, context, options, std::move(pump));
    if (!host.bridge.ToLoop([call] { call->Run(); })) call->Finish(ToGrpcStatus(ServerBusy()));
    return call;
  }

  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Refuse(const absl::Status& status) {
    return new Refused(status);
  }

  // For the pump, before the first Write: tells the client that its stream is open. False: it has
  // gone.
  boost::asio::awaitable<bool> Open() {
    auto send = [this] { this->StartSendInitialMetadata(); };
    return Send(std::move(send));
  }

  // For the pump, one at a time: completes when the client can take the next one. False: it has
  // gone.
  boost::asio::awaitable<bool> Write(Response message) {
    message_ = std::move(message);
    if (options_.stall_limit.has_value()) {
      stall_alarm_->Set(host_.clock.Boot() + *options_.stall_limit,
                        [this] { context_->TryCancel(); });
    }
    auto send = [this] {
      if (!SerializeResponse(message_, wire_).ok()) return Sent(false);
      this->StartWrite(&wire_);
    };
    const bool ok = co_await Send(std::move(send));
    if (stall_alarm_ != nullptr) stall_alarm_->Cancel();
    co_return ok;
  }

  void OnSendInitialMetadataDone(bool ok) override { Sent(ok); }
  void OnWriteDone(bool ok) override { Sent(ok); }

  void OnCancel() override {
    host_.bridge.ToLoopAlways(
        [open = open_] { open->Cancel(absl::CancelledError("the caller went away")); });
  }

  void OnDone() override { delete this; }

 private:
  class Refused final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    explicit Refused(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
    void OnDone() override { delete this; }
  };

  StreamCall(CallHost& host, grpc::CallbackServerContext* context, Options options, Pump pump)
      : host_(host), context_(context), options_(options), pump_(std::move(pump)) {}

  void Run() {
    if (open_->cancelled()) return Answer(open_->why());
    host_.Opened(open_);
    if (options_.stall_limit.has_value())
      stall_alarm_ = host_.clock.NewAlarm(host_.bridge.executor());
    auto done = [this](std::exception_ptr escaped, absl::Status result) {
      host_.Closed(open_);
      stall_alarm_.reset();  // it belongs to the loop; OnDone does not run there
      Answer(StatusOfCall(*open_, escaped, std::move(result)));
    };
    boost::asio::co_spawn(host_.bridge.executor(), pump_(*this),
                          boost::asio::bind_cancellation_slot(open_->slot(), std::move(done)));
  }

  // Runs `send` off the loop and completes on it once gRPC says that it was sent. Not cancellable:
  // gRPC always says.
  boost::asio::awaitable<bool> Send(LoopBridge::Job send) {
    auto initiate = [this](auto handler, LoopBridge::Job job) {
      sent_ = [handler = std::move(handler)](bool ok) mutable { std::move(handler)(ok); };
      host_.bridge.OffLoop(std::move(job));
    };
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&,
                                                   void(bool)>(initiate, boost::asio::use_awaitable,
                                                               std::move(send));
  }

  void Sent(bool ok) {
    host_.bridge.ToLoopAlways([this, ok] {
      auto sent = std::move(sent_);
      sent(ok);
    });
  }

  // After the hand-over nothing here may touch the call: OnDone may already have deleted it.
  void Answer(const absl::Status& status) {
    host_.bridge.OffLoop([this, status] { this->Finish(ToGrpcStatus(status)); });
  }

  CallHost& host_;
  grpc::CallbackServerContext* const context_;
  const Options options_;
  Pump pump_;
  const std::shared_ptr<OpenCall> open_ = std::make_shared<OpenCall>();
  std::unique_ptr<base::Alarm> stall_alarm_;
  Response message_;
  grpc::ByteBuffer wire_;                // of `message_`
  absl::AnyInvocable<void(bool)> sent_;  // of the one operation in flight
};

}  // namespace boxkeeper::daemon
