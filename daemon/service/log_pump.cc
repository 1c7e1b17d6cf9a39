#include "daemon/service/log_pump.h"

#include <utility>

#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using Call = StreamCall<v1::ReadLogResponse>;

awaitable<absl::Status> PumpLog(TaskApi& api, v1::ReadLogRequest request, Call& call) {
  auto log = api.ReadLog(std::move(request));
  if (!log.ok()) co_return log.status();
  bool connected = co_await call.Open();
  bool end = false;
  while (connected && !end) {
    auto piece = co_await (*log)->Next();
    if (!piece.ok()) co_return piece.status();
    end = piece->end();
    connected = co_await call.Write(*std::move(piece));
  }
  co_return absl::OkStatus();
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeLog(CallHost& host, TaskApi& api,
                                                     grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer& wire_request) {
  absl::Status refused = host.Admit(*context);
  v1::ReadLogRequest request;
  if (refused.ok()) refused = ParseRequest(wire_request, request);
  if (refused.ok()) refused = CheckRequest(request);
  if (!refused.ok()) return Call::Refuse(refused);
  return Call::Serve(host, context, {},
                     [&api, request](Call& call) { return PumpLog(api, request, call); });
}

}  // namespace boxkeeper::daemon
