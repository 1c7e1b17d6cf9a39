#include "daemon/service/grpc_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>

#include "daemon/service/testing/fake_task_api.h"
#include "daemon/service/testing/service_test.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

using GrpcServerTest = ServiceTest;

TEST_F(GrpcServerTest, EveryUnaryCallReachesTheCore) {
  Start();
  const std::string id = Submit(1);
  {
    CallContext context;
    v1::GetTaskRequest request;
    request.mutable_task()->set_id(id);
    v1::Task task;
    ASSERT_TRUE(executor_->GetTask(&context, request, &task).ok());
    EXPECT_EQ(task.state(), v1::TASK_STATE_QUEUED);
  }
  {
    CallContext context;
    v1::ListTasksResponse response;
    ASSERT_TRUE(executor_->ListTasks(&context, {}, &response).ok());
    EXPECT_EQ(response.tasks_size(), 1);
    EXPECT_EQ(response.snapshot_cursor(), "c0");
  }
  {
    CallContext context;
    v1::CancelTasksRequest request;
    request.add_tasks()->set_id(id);
    request.add_tasks()->set_id("none");
    v1::CancelTasksResponse response;
    ASSERT_TRUE(executor_->CancelTasks(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).outcome(), v1::CancelResult::CANCELLED);
    EXPECT_EQ(response.results(1).outcome(), v1::CancelResult::NOT_FOUND);
  }
  {
    CallContext context;
    v1::AckEventsRequest request;
    request.set_owner("o");
    request.set_cursor("c1");
    v1::AckEventsResponse response;
    EXPECT_TRUE(executor_->AckEvents(&context, request, &response).ok());
  }
  {
    CallContext context;
    v1::AdoptTasksRequest request;
    request.set_new_owner("n");
    request.add_tasks()->set_id(id);
    v1::AdoptTasksResponse response;
    ASSERT_TRUE(executor_->AdoptTasks(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).outcome(), v1::AdoptResult::LIVE);
  }
  {
    CallContext context;
    v1::GetCapacityResponse response;
    ASSERT_TRUE(executor_->GetCapacity(&context, {}, &response).ok());
    EXPECT_EQ(response.max_running(), 7);
    EXPECT_TRUE(response.accepting());
  }
  {
    CallContext context;
    v1::RenewLeaseRequest request;
    request.add_ids(id);
    request.add_ids("none");
    v1::RenewLeaseResponse response;
    ASSERT_TRUE(executor_->RenewLease(&context, request, &response).ok());
    EXPECT_THAT(response.not_found(), Contains("none"));
  }
}

TEST_F(GrpcServerTest, EveryAdminCallReachesTheCore) {
  Start();
  const std::string id = Submit(1);
  {
    CallContext context;
    v1::GetStatusResponse response;
    ASSERT_TRUE(admin_->GetStatus(&context, {}, &response).ok());
    EXPECT_EQ(response.deployment_id(), "fake");
  }
  {
    CallContext context;
    v1::ListSandboxesResponse response;
    ASSERT_TRUE(admin_->ListSandboxes(&context, {}, &response).ok());
    EXPECT_EQ(response.sandboxes_size(), 1);
  }
  {
    CallContext context;
    v1::ListProvidersResponse response;
    ASSERT_TRUE(admin_->ListProviders(&context, {}, &response).ok());
    EXPECT_EQ(response.providers_size(), 1);
  }
  {
    CallContext context;
    v1::DrainResponse response;
    ASSERT_TRUE(admin_->Drain(&context, {}, &response).ok());
    EXPECT_EQ(response.still_running(), 1);
  }
  {
    CallContext context;
    v1::ReloadResponse response;
    ASSERT_TRUE(admin_->Reload(&context, {}, &response).ok());
    EXPECT_THAT(response.changed(), Contains("log.level"));
  }
  {
    CallContext context;
    v1::AbandonTaskRequest request;
    request.set_id(id);
    v1::AbandonTaskResponse response;
    ASSERT_TRUE(admin_->AbandonTask(&context, request, &response).ok());
    EXPECT_EQ(response.task().id(), id);
  }
}

TEST_F(GrpcServerTest, ErrorsSayWhyToProgramsAndPeople) {
  Start();
  {
    CallContext context;
    v1::GetTaskRequest request;
    request.mutable_task()->set_id("nonesuch");
    v1::Task task;
    const grpc::Status status = executor_->GetTask(&context, request, &task);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(ReasonOf(status), "TASK_NOT_FOUND");
    EXPECT_THAT(status.error_message(), HasSubstr("nonesuch"));
  }
  {
    CallContext context;
    v1::CancelTasksResponse response;
    const grpc::Status status = executor_->CancelTasks(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "INVALID_REQUEST");
  }
  {
    server_.OnLoop([this] { server_.api().fail_next = absl::InternalError("broken"); });
    CallContext context;
    v1::ListTasksResponse response;
    const grpc::Status status = executor_->ListTasks(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(ReasonOf(status), "INTERNAL");
  }
}

TEST_F(GrpcServerTest, ABadItemNeverFailsTheBatch) {
  Start();
  v1::SubmitTasksRequest request;
  request.add_tasks()->set_submission_id(SubmissionUuid(1));
  request.add_tasks()->set_submission_id("nonsense");
  request.add_tasks()->set_submission_id(SubmissionUuid(2));
  request.mutable_tasks(2)->mutable_key()->set_name("full");
  v1::SubmitTasksResponse response;
  CallContext context;
  ASSERT_TRUE(executor_->SubmitTasks(&context, request, &response).ok());
  ASSERT_EQ(response.results_size(), 3);
  EXPECT_EQ(response.results(0).outcome(), v1::SubmitResult::ACCEPTED);
  EXPECT_EQ(response.results(1).outcome(), v1::SubmitResult::REJECTED);
  EXPECT_EQ(response.results(1).violations(0).field(), "submission_id");
  EXPECT_EQ(response.results(2).outcome(), v1::SubmitResult::QUEUE_FULL);
}

TEST_F(GrpcServerTest, ValidateOnlyStoresNothingAndShowsTheMergedSpec) {
  Start();
  v1::SubmitTasksRequest request;
  request.set_validate_only(true);
  request.add_tasks()->set_submission_id(SubmissionUuid(1));
  request.add_tasks()->set_submission_id("nonsense");
  v1::SubmitTasksResponse response;
  CallContext context;
  ASSERT_TRUE(executor_->SubmitTasks(&context, request, &response).ok());
  EXPECT_EQ(response.results(0).outcome(), v1::SubmitResult::ACCEPTED);
  EXPECT_EQ(response.results(0).id(), "");
  EXPECT_EQ(response.results(0).spec().profile(), "merged");
  EXPECT_EQ(response.results(1).outcome(), v1::SubmitResult::REJECTED);
  EXPECT_EQ(response.results(1).violations(0).description(), "not a UUID");
  EXPECT_EQ(server_.api().submitted, 0);
}

TEST_F(GrpcServerTest, TheSameSubmissionSixtyFourTimesAtOnceIsOneTask) {
  Start();
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<std::string> ids;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      const std::string id = Submit(7);
      const std::lock_guard lock(mutex);
      ids.insert(id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(server_.api().submitted, 1);
}

TEST_F(GrpcServerTest, OversizedRequestsAreRefusedClearly) {
  Start();
  v1::SubmitTasksRequest request;
  request.add_tasks()->mutable_command()->set_shell(std::string(9 << 20, 'x'));
  v1::SubmitTasksResponse response;
  {
    CallContext context;
    const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "BATCH_TOO_LARGE");
  }
  request.mutable_tasks(0)->mutable_command()->set_shell(std::string(17 << 20, 'x'));
  {
    CallContext context;
    const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  EXPECT_EQ(Submit(1), "task-1");
}

TEST_F(GrpcServerTest, AFullBudgetAnswersWhenToComeBack) {
  GrpcServerOptions options;
  options.bridge.request_bytes_max = 1000;
  Start(std::move(options));
  v1::SubmitTasksRequest request;
  request.add_tasks()->mutable_command()->set_shell(std::string(2000, 'x'));
  v1::SubmitTasksResponse response;
  CallContext context;
  const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "SERVER_BUSY");
  EXPECT_TRUE(HasRetryInfo(status));
  EXPECT_EQ(Submit(1), "task-1");
}

TEST_F(GrpcServerTest, WaitAnswersWithWhatThereIsBeforeTheCallsDeadline) {
  Start();
  v1::WaitTaskRequest request;
  request.add_ids(Submit(1));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(400));
  v1::WaitTaskResponse response;
  const grpc::Status status = executor_->WaitTask(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.timed_out());
  EXPECT_EQ(response.tasks_size(), 1);
  EXPECT_LT(server_.api().last_timeout_ms, 400);
}

TEST_F(GrpcServerTest, AWaitsOwnTimeoutIsKeptWhereItIsShorter) {
  Start();
  v1::WaitTaskRequest request;
  request.add_ids(Submit(1));
  request.mutable_timeout()->set_nanos(20'000'000);
  CallContext context;
  v1::WaitTaskResponse response;
  ASSERT_TRUE(executor_->WaitTask(&context, request, &response).ok());
  EXPECT_EQ(server_.api().last_timeout_ms, 20);
}

TEST_F(GrpcServerTest, ACallerThatGoesAwayFreesItsWait) {
  Start();
  v1::WaitTaskRequest request;
  request.add_ids(Submit(1));
  CallContext context;
  std::thread canceller([&] {
    EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().waiting == 1; }));
    context.TryCancel();
  });
  v1::WaitTaskResponse response;
  EXPECT_EQ(executor_->WaitTask(&context, request, &response).error_code(),
            grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().waiting == 0; }));
}

TEST_F(GrpcServerTest, ReflectionListsAndDescribesTheServices) {
  Start();
  namespace reflection = grpc::reflection::v1alpha;
  auto stub = reflection::ServerReflection::NewStub(server_.Channel());
  CallContext context;
  auto stream = stub->ServerReflectionInfo(&context);
  reflection::ServerReflectionRequest request;
  reflection::ServerReflectionResponse response;
  request.set_list_services("");
  stream->Write(request);
  ASSERT_TRUE(stream->Read(&response));
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names, IsSupersetOf(
                         {"boxkeeper.v1.Executor", "boxkeeper.v1.Admin", "grpc.health.v1.Health"}));
  request.set_file_containing_symbol("boxkeeper.v1.Executor");
  stream->Write(request);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_GT(response.file_descriptor_response().file_descriptor_proto_size(), 3);
  request.set_file_containing_symbol("no.such.Thing");
  stream->Write(request);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace boxkeeper::daemon
