// ReadLog: from the core's log stream to the client's.
#pragma once

#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"
#include "daemon/service/stream_call.h"

namespace boxkeeper::daemon {

// A reader that pauses (a pager) is never cut: it holds one piece.
grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeLog(CallHost& host, TaskApi& api,
                                                     grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer& wire_request);

}  // namespace boxkeeper::daemon
