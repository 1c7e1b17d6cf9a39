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

// All references outlive it.
class AdminService final : public v1::Admin::CallbackService {
 public:
  AdminService(CallHost& host, TaskApi& api, ReloadFunction reload);

  // Also answers while the daemon is still starting: it says what it waits for.
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListSandboxes(grpc::CallbackServerContext* context,
                                          const v1::ListSandboxesRequest* request,
                                          v1::ListSandboxesResponse* response) override;
  grpc::ServerUnaryReactor* ListProviders(grpc::CallbackServerContext* context,
                                          const v1::ListProvidersRequest* request,
                                          v1::ListProvidersResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;
  grpc::ServerUnaryReactor* Reload(grpc::CallbackServerContext* context,
                                   const v1::ReloadRequest* request,
                                   v1::ReloadResponse* response) override;
  grpc::ServerUnaryReactor* AbandonTask(grpc::CallbackServerContext* context,
                                        const v1::AbandonTaskRequest* request,
                                        v1::AbandonTaskResponse* response) override;

 private:
  CallHost& host_;
  TaskApi& api_;
  ReloadFunction reload_;
};

}  // namespace boxkeeper::daemon
