// SubmitTasks: the hot path. No coroutine, one hand-over to the loop, one back.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <vector>

#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"
#include "daemon/submit/prepared_task.h"

namespace boxkeeper::daemon {

// Validates one item, its size too; thread-safe.
using PrepareFunction = std::function<PreparedTask(const v1::TaskSpec&)>;

// Answers one SubmitTasks call. Items are prepared on the calling gRPC thread. With `validate_only`
// the loop never hears of it.
grpc::ServerUnaryReactor* ServeSubmit(CallHost& host, TaskApi& api, const PrepareFunction& prepare,
                                      grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

}  // namespace boxkeeper::daemon
