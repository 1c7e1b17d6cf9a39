#include "daemon/service/executor_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/service/artifact_pump.h"
#include "daemon/service/blob_upload.h"
#include "daemon/service/event_pump.h"
#include "daemon/service/log_pump.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/unary_call.h"

namespace boxkeeper::daemon {
namespace {

using boost::asio::awaitable;
using google::protobuf::Duration;

// WaitTask answers this long before the call's deadline, so that the answer still arrives.
constexpr std::chrono::milliseconds kAnswerMargin{100};

// The request's own timeout, or what the call's deadline leaves of it; absent = wait for ever.
void BoundByDeadline(v1::WaitTaskRequest& request, std::chrono::system_clock::time_point deadline) {
  if (deadline == std::chrono::system_clock::time_point::max()) return;
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
      deadline - std::chrono::system_clock::now());
  const auto margin = std::min<std::chrono::nanoseconds>(kAnswerMargin, left / 10);
  // A timeout of 0 would mean none.
  const auto bound = std::max<std::chrono::nanoseconds>(left - margin, std::chrono::nanoseconds(1));
  const auto own = std::chrono::seconds(request.timeout().seconds()) +
                   std::chrono::nanoseconds(request.timeout().nanos());
  if (own > std::chrono::nanoseconds(0) && own <= bound) return;
  Duration& timeout = *request.mutable_timeout();
  timeout.set_seconds(bound.count() / 1'000'000'000);
  timeout.set_nanos(static_cast<int32_t>(bound.count() % 1'000'000'000));
}

}  // namespace

ExecutorService::ExecutorService(CallHost& host, TaskApi& api, PrepareFunction prepare,
                                 blobs::BlobStore* blobs)
    : host_(host), api_(api), prepare_(std::move(prepare)), blobs_(blobs) {}

grpc::ServerUnaryReactor* ExecutorService::SubmitTasks(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return ServeSubmit(host_, api_, prepare_, context, request, response);
}

grpc::ServerUnaryReactor* ExecutorService::GetTask(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  return UnaryCall<v1::GetTaskRequest, v1::Task>::Serve(
      host_, context, request, response,
      [this](v1::GetTaskRequest r) { return api_.GetTask(std::move(r)); });
}

grpc::ServerUnaryReactor* ExecutorService::ListTasks(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return UnaryCall<v1::ListTasksRequest, v1::ListTasksResponse>::Serve(
      host_, context, request, response,
      [this](v1::ListTasksRequest r) { return api_.ListTasks(std::move(r)); });
}

grpc::ServerUnaryReactor* ExecutorService::WaitTask(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  return UnaryCall<v1::WaitTaskRequest, v1::WaitTaskResponse>::Serve(
      host_, context, request, response,
      [this, deadline = context->deadline()](v1::WaitTaskRequest r) {
        BoundByDeadline(r, deadline);
        return api_.WaitTask(std::move(r));
      });
}

grpc::ServerUnaryReactor* ExecutorService::CancelTasks(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return UnaryCall<v1::CancelTasksRequest, v1::CancelTasksResponse>::Serve(
      host_, context, request, response,
      [this](v1::CancelTasksRequest r) { return api_.CancelTasks(std::move(r)); });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ExecutorService::WatchEvents(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return ServeEvents(host_, api_, context, *request);
}

grpc::ServerUnaryReactor* ExecutorService::AckEvents(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return UnaryCall<v1::AckEventsRequest, v1::AckEventsResponse>::Serve(
      host_, context, request, response,
      [this](v1::AckEventsRequest r) { return api_.AckEvents(std::move(r)); });
}

grpc::ServerUnaryReactor* ExecutorService::AdoptTasks(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return UnaryCall<v1::AdoptTasksRequest, v1::AdoptTasksResponse>::Serve(
      host_, context, request, response,
      [this](v1::AdoptTasksRequest r) { return api_.AdoptTasks(std::move(r)); });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ExecutorService::ReadLog(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return ServeLog(host_, api_, context, *request);
}

grpc::ServerUnaryReactor* ExecutorService::ListArtifacts(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) {
  return UnaryCall<v1::ListArtifactsRequest, v1::ListArtifactsResponse>::Serve(
      host_, context, request, response,
      [this](v1::ListArtifactsRequest r) { return api_.ListArtifacts(std::move(r)); });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ExecutorService::ReadArtifact(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return ServeArtifact(host_, api_, context, *request);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* ExecutorService::PutBlob(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  return ServePutBlob(host_, blobs_, context, response);
}

grpc::ServerUnaryReactor* ExecutorService::GetCapacity(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return UnaryCall<v1::GetCapacityRequest, v1::GetCapacityResponse>::Serve(
      host_, context, request, response, [this](v1::GetCapacityRequest) {
        v1::GetCapacityResponse capacity = api_.GetCapacity();
        if (host_.state.load() != ServingState::kServing) capacity.set_accepting(false);
        return Ready<v1::GetCapacityResponse>(std::move(capacity));
      });
}

grpc::ServerUnaryReactor* ExecutorService::RenewLease(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return UnaryCall<v1::RenewLeaseRequest, v1::RenewLeaseResponse>::Serve(
      host_, context, request, response, [this](v1::RenewLeaseRequest r) {
        return Ready<v1::RenewLeaseResponse>(api_.RenewLease(std::move(r)));
      });
}

}  // namespace boxkeeper::daemon
