#include "daemon/service/event_pump.h"

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/fault_points.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using Call = StreamCall<v1::WatchEventsResponse>;

constexpr size_t kEventsPerMessageMax = 128;
constexpr size_t kMessageBytesMax = 1 << 20;
constexpr std::chrono::seconds kHeartbeat{15};  // of the API's contract

awaitable<absl::Status> PumpEvents(TaskApi& api, v1::WatchEventsRequest request, Call& call) {
  const bool follow = request.follow();
  auto reader = api.WatchEvents(std::move(request));
  if (!reader.ok()) co_return reader.status();
  bool connected = co_await call.Open();
  while (connected && (follow || !(*reader)->AtEnd())) {
    auto batch = co_await (*reader)->Next(kEventsPerMessageMax, kHeartbeat);
    if (!batch.ok()) co_return batch.status();
    std::vector<v1::WatchEventsResponse> messages =
        SplitEvents(*std::move(batch), kMessageBytesMax);
    for (v1::WatchEventsResponse& message : messages) {
      base::Failpoint("event.before_send");
      connected = connected && co_await call.Write(std::move(message));
      base::Failpoint("event.after_send");
    }
  }
  co_return absl::OkStatus();
}

}  // namespace

std::vector<v1::WatchEventsResponse> SplitEvents(v1::WatchEventsResponse batch, size_t bytes_max) {
  std::vector<v1::WatchEventsResponse> messages(1);
  size_t bytes = 0;
  for (v1::Event& event : *batch.mutable_events()) {
    const size_t size = event.ByteSizeLong();
    if (bytes > 0 && bytes + size > bytes_max) {
      messages.emplace_back();
      bytes = 0;
    }
    *messages.back().add_events() = std::move(event);
    bytes += size;
  }
  return messages;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeEvents(CallHost& host, TaskApi& api,
                                                        grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer& wire_request) {
  absl::Status refused = host.Admit(*context);
  v1::WatchEventsRequest request;
  if (refused.ok()) refused = ParseRequest(wire_request, request);
  if (refused.ok()) refused = CheckRequest(request);
  if (!refused.ok()) return Call::Refuse(refused);
  Call::Options options;
  options.stall_limit = host.event_stall_limit;
  return Call::Serve(host, context, options,
                     [&api, request](Call& call) { return PumpEvents(api, request, call); });
}

}  // namespace boxkeeper::daemon
