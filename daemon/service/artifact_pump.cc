#include "daemon/service/artifact_pump.h"

#include <utility>

#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using Call = StreamCall<v1::ReadArtifactResponse>;

awaitable<absl::Status> PumpArtifact(TaskApi& api, v1::ReadArtifactRequest request, Call& call) {
  auto artifact = api.ReadArtifact(std::move(request));
  if (!artifact.ok()) co_return artifact.status();
  bool connected = true;
  bool end = false;
  while (connected && !end) {
    auto piece = co_await (*artifact)->Next();
    if (!piece.ok()) co_return piece.status();
    end = piece->end();
    connected = co_await call.Write(*std::move(piece));
  }
  co_return absl::OkStatus();
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeArtifact(CallHost& host, TaskApi& api,
                                                          grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer& wire_request) {
  absl::Status refused = host.Admit(*context);
  v1::ReadArtifactRequest request;
  if (refused.ok()) refused = ParseRequest(wire_request, request);
  if (refused.ok()) refused = CheckRequest(request);
  if (!refused.ok()) return Call::Refuse(refused);
  return Call::Serve(host, context, {},
                     [&api, request](Call& call) { return PumpArtifact(api, request, call); });
}

}  // namespace boxkeeper::daemon
