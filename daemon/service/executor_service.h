// boxkeeper.v1.Executor over gRPC.
#pragma once

#include "boxkeeper/v1/executor.grpc.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"
#include "daemon/service/submit_call.h"

namespace boxkeeper::daemon {

// Parses, checks and hands over to `api` on the loop; knows nothing of tasks itself. All references
// outlive it.
class ExecutorService final : public v1::Executor::CallbackService {
 public:
  ExecutorService(CallHost& host, TaskApi& api, PrepareFunction prepare);

  grpc::ServerUnaryReactor* SubmitTasks(grpc::CallbackServerContext* context,
                                        const v1::SubmitTasksRequest* request,
                                        v1::SubmitTasksResponse* response) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const v1::GetTaskRequest* request, v1::Task* response) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;
  grpc::ServerUnaryReactor* WaitTask(grpc::CallbackServerContext* context,
                                     const v1::WaitTaskRequest* request,
                                     v1::WaitTaskResponse* response) override;
  grpc::ServerUnaryReactor* CancelTasks(grpc::CallbackServerContext* context,
                                        const v1::CancelTasksRequest* request,
                                        v1::CancelTasksResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) override;
  grpc::ServerUnaryReactor* AckEvents(grpc::CallbackServerContext* context,
                                      const v1::AckEventsRequest* request,
                                      v1::AckEventsResponse* response) override;
  grpc::ServerUnaryReactor* AdoptTasks(grpc::CallbackServerContext* context,
                                       const v1::AdoptTasksRequest* request,
                                       v1::AdoptTasksResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadLogResponse>* ReadLog(
      grpc::CallbackServerContext* context, const v1::ReadLogRequest* request) override;
  grpc::ServerUnaryReactor* GetCapacity(grpc::CallbackServerContext* context,
                                        const v1::GetCapacityRequest* request,
                                        v1::GetCapacityResponse* response) override;
  grpc::ServerUnaryReactor* RenewLease(grpc::CallbackServerContext* context,
                                       const v1::RenewLeaseRequest* request,
                                       v1::RenewLeaseResponse* response) override;

 private:
  CallHost& host_;
  TaskApi& api_;
  PrepareFunction prepare_;
};

}  // namespace boxkeeper::daemon
