#include "daemon/service/testing/service_test.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace boxkeeper::daemon {

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  google::rpc::ErrorInfo info;
  for (const auto& detail : details.details()) detail.UnpackTo(&info);
  return info.reason();
}

bool HasRetryInfo(const grpc::Status& status) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const auto& detail : details.details()) {
    if (detail.Is<google::rpc::RetryInfo>()) return true;
  }
  return false;
}

void ServiceTest::Start(GrpcServerOptions options) {
  const absl::Status started = server_.Start(std::move(options));
  ASSERT_TRUE(started.ok()) << started;
  executor_ = v1::Executor::NewStub(server_.Channel());
  admin_ = v1::Admin::NewStub(server_.Channel());
}

std::string ServiceTest::Submit(int number) {
  v1::SubmitTasksRequest request;
  request.add_tasks()->set_submission_id(SubmissionUuid(number));
  v1::SubmitTasksResponse response;
  CallContext context;
  const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.results(0).id();
}

}  // namespace boxkeeper::daemon
