// boxkeeper.v1.Executor over gRPC.
#pragma once

#include "blobs/blob_store.h"
#include "boxkeeper/v1/executor.grpc.pb.h"
#include "daemon/api/task_api.h"
#include "daemon/service/call_host.h"
#include "daemon/service/submit_call.h"

namespace boxkeeper::daemon {

// Every method takes and gives bytes: see wire.h.
using RawExecutor =
    v1::Executor::WithRawCallbackMethod_SubmitTasks<v1::Executor::WithRawCallbackMethod_GetTask<
        v1::Executor::WithRawCallbackMethod_ListTasks<v1::Executor::WithRawCallbackMethod_WaitTask<
            v1::Executor::WithRawCallbackMethod_CancelTasks<
                v1::Executor::WithRawCallbackMethod_WatchEvents<
                    v1::Executor::WithRawCallbackMethod_AckEvents<
                        v1::Executor::WithRawCallbackMethod_AdoptTasks<
                            v1::Executor::WithRawCallbackMethod_ReadLog<
                                v1::Executor::WithRawCallbackMethod_GetCapacity<
                                    v1::Executor::WithRawCallbackMethod_RenewLease<
                                        v1::Executor::WithRawCallbackMethod_ListArtifacts<
                                            v1::Executor::WithRawCallbackMethod_ReadArtifact<
                                                v1::Executor::WithRawCallbackMethod_PutBlob<
                                                    v1::Executor::Service>>>>>>>>>>>>>>;

// Parses, checks and hands over to `api` on the loop; knows nothing of tasks itself. All references
// outlive it.
class ExecutorService final : public RawExecutor {
 public:
  // `blobs`: null where there is no blob store.
  ExecutorService(CallHost& host, TaskApi& api, PrepareFunction prepare, blobs::BlobStore* blobs);

  grpc::ServerUnaryReactor* SubmitTasks(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* WaitTask(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CancelTasks(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchEvents(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* AckEvents(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* AdoptTasks(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ReadLog(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* ListArtifacts(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ReadArtifact(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* PutBlob(grpc::CallbackServerContext* context,
                                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetCapacity(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* RenewLease(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;

 private:
  CallHost& host_;
  TaskApi& api_;
  PrepareFunction prepare_;
  blobs::BlobStore* const blobs_;
};

}  // namespace boxkeeper::daemon
