// Executor.ReadArtifact: from an ArtifactStream of the core into the stream of the call.
#pragma once

#include "daemon/api/task_api.h"
#include "daemon/service/stream_call.h"

namespace boxkeeper::daemon {

grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeArtifact(CallHost& host, TaskApi& api,
                                                          grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer& wire_request);

}  // namespace boxkeeper::daemon
