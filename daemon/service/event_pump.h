// WatchEvents: from the core's reader to the client's stream.
#pragma once

#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"
#include "daemon/service/stream_call.h"

namespace boxkeeper::daemon {

// Pulls from the core only when the client has taken the last message: a slow subscriber costs one
// message.
grpc::ServerWriteReactor<grpc::ByteBuffer>* ServeEvents(CallHost& host, TaskApi& api,
                                                        grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer& wire_request);

// Splits `batch` in order into messages of at most `bytes_max`, at least one event each: gRPC
// clients refuse messages above 4 MiB by default. A heartbeat stays one empty message.
std::vector<v1::WatchEventsResponse> SplitEvents(v1::WatchEventsResponse batch, size_t bytes_max);

}  // namespace boxkeeper::daemon
