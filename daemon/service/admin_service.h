// boxkeeper.v1.Admin over gRPC.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>

#include "absl/status/statusor.h"
#include "boxkeeper/v1/admin.grpc.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"

namespace boxkeeper::daemon {

// Reads the configuration again, as SIGHUP does. On the loop. kFailedPrecondition/BAD_CONFIGURATION
// with every mistake.
using ReloadFunction = std::function<boost::asio::awaitable<absl::StatusOr<v1::ReloadResponse>>()>;

// Every method takes and gives bytes: see wire.h.
using RawAdmin =
    v1::Admin::WithRawCallbackMethod_GetStatus<v1::Admin::WithRawCallbackMethod_ListSandboxes<
        v1::Admin::WithRawCallbackMethod_ListProviders<v1::Admin::WithRawCallbackMethod_Drain<
            v1::Admin::WithRawCallbackMethod_Reload<v1::Admin::WithRawCallbackMethod_AbandonTask<
                v1::Admin::WithRawCallbackMethod_ListOrphans<
                    v1::Admin::WithRawCallbackMethod_ReapOrphans<v1::Admin::Service>>>>>>>>;

// All references outlive it.
class AdminService final : public RawAdmin {
 public:
  AdminService(CallHost& host, TaskApi& api, ReloadFunction reload);

  // Also answers while the daemon is still starting: it says what it waits for.
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListSandboxes(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListProviders(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Reload(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* AbandonTask(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListOrphans(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReapOrphans(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;

 private:
  CallHost& host_;
  TaskApi& api_;
  ReloadFunction reload_;
};

}  // namespace boxkeeper::daemon
