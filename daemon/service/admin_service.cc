#include "daemon/service/admin_service.h"

#include <utility>

#include "daemon/service/unary_call.h"

namespace boxkeeper::daemon {

AdminService::AdminService(CallHost& host, TaskApi& api, ReloadFunction reload)
    : host_(host), api_(api), reload_(std::move(reload)) {}

grpc::ServerUnaryReactor* AdminService::GetStatus(grpc::CallbackServerContext* context,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  using Call = UnaryCall<v1::GetStatusRequest, v1::GetStatusResponse>;
  if (auto caller = host_.Authenticate(*context); !caller.ok()) {
    return Call::Refuse(context, caller.status());
  }
  return Call::ServeAdmitted(host_, context, request, response, [this](v1::GetStatusRequest) {
    v1::GetStatusResponse status = api_.GetStatus();
    if (host_.state.load() == ServingState::kStopping) {
      status.set_stopping(true);
      status.set_ready(false);
    }
    return Ready<v1::GetStatusResponse>(std::move(status));
  });
}

grpc::ServerUnaryReactor* AdminService::ListSandboxes(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return UnaryCall<v1::ListSandboxesRequest, v1::ListSandboxesResponse>::Serve(
      host_, context, request, response,
      [this](v1::ListSandboxesRequest r) { return api_.ListSandboxes(std::move(r)); });
}

grpc::ServerUnaryReactor* AdminService::ListProviders(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return UnaryCall<v1::ListProvidersRequest, v1::ListProvidersResponse>::Serve(
      host_, context, request, response, [this](v1::ListProvidersRequest) {
        return Ready<v1::ListProvidersResponse>(api_.ListProviders());
      });
}

grpc::ServerUnaryReactor* AdminService::Drain(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  return UnaryCall<v1::DrainRequest, v1::DrainResponse>::Serve(
      host_, context, request, response,
      [this](v1::DrainRequest r) { return api_.Drain(std::move(r)); });
}

grpc::ServerUnaryReactor* AdminService::Reload(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  return UnaryCall<v1::ReloadRequest, v1::ReloadResponse>::Serve(
      host_, context, request, response, [this](v1::ReloadRequest) { return reload_(); });
}

grpc::ServerUnaryReactor* AdminService::AbandonTask(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  return UnaryCall<v1::AbandonTaskRequest, v1::AbandonTaskResponse>::Serve(
      host_, context, request, response,
      [this](v1::AbandonTaskRequest r) { return api_.AbandonTask(std::move(r)); });
}

grpc::ServerUnaryReactor* AdminService::ListOrphans(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  return UnaryCall<v1::ListOrphansRequest, v1::ListOrphansResponse>::Serve(
      host_, context, request, response,
      [this](v1::ListOrphansRequest r) { return api_.ListOrphans(std::move(r)); });
}

grpc::ServerUnaryReactor* AdminService::ReapOrphans(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  return UnaryCall<v1::ReapOrphansRequest, v1::ReapOrphansResponse>::Serve(
      host_, context, request, response,
      [this](v1::ReapOrphansRequest r) { return api_.ReapOrphans(std::move(r)); });
}

}  // namespace boxkeeper::daemon
