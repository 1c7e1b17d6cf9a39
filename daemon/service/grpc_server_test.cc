#include "daemon/service/grpc_server.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <thread>

#include "boxkeeper/v1/admin.grpc.pb.h"
#include "boxkeeper/v1/executor.grpc.pb.h"
#include "daemon/service/testing/fake_task_api.h"
#include "daemon/service/testing/test_certificates.h"
#include "daemon/service/testing/test_server.h"
#include "google/rpc/status_details.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

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

// A call's context with a generous deadline and, if given, a token.
struct Context : grpc::ClientContext {
  explicit Context(const std::string& token = "") {
    set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!token.empty()) AddMetadata("authorization", "Bearer " + token);
  }
};

grpc::Status Capacity(const std::shared_ptr<grpc::Channel>& channel,
                      const std::string& token = "") {
  Context context(token);
  v1::GetCapacityResponse response;
  return v1::Executor::NewStub(channel)->GetCapacity(&context, {}, &response);
}

class GrpcServerTest : public ::testing::Test {
 protected:
  void Start(GrpcServerOptions options = {}) {
    const absl::Status started = server_.Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started;
    executor_ = v1::Executor::NewStub(server_.Channel());
    admin_ = v1::Admin::NewStub(server_.Channel());
  }

  // Submits one good item; returns its id.
  std::string Submit(int number) {
    v1::SubmitTasksRequest request;
    request.add_tasks()->set_submission_id(SubmissionUuid(number));
    v1::SubmitTasksResponse response;
    Context context;
    const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results(0).id();
  }

  TestServer server_;
  std::unique_ptr<v1::Executor::Stub> executor_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

TEST_F(GrpcServerTest, EveryUnaryCallReachesTheCore) {
  Start();
  const std::string id = Submit(1);
  {
    Context context;
    v1::GetTaskRequest request;
    request.mutable_task()->set_id(id);
    v1::Task task;
    ASSERT_TRUE(executor_->GetTask(&context, request, &task).ok());
    EXPECT_EQ(task.state(), v1::TASK_STATE_QUEUED);
  }
  {
    Context context;
    v1::ListTasksResponse response;
    ASSERT_TRUE(executor_->ListTasks(&context, {}, &response).ok());
    EXPECT_EQ(response.tasks_size(), 1);
    EXPECT_EQ(response.snapshot_cursor(), "c0");
  }
  {
    Context context;
    v1::CancelTasksRequest request;
    request.add_tasks()->set_id(id);
    request.add_tasks()->set_id("none");
    v1::CancelTasksResponse response;
    ASSERT_TRUE(executor_->CancelTasks(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).outcome(), v1::CancelResult::CANCELLED);
    EXPECT_EQ(response.results(1).outcome(), v1::CancelResult::NOT_FOUND);
  }
  {
    Context context;
    v1::AckEventsRequest request;
    request.set_owner("o");
    request.set_cursor("c1");
    v1::AckEventsResponse response;
    EXPECT_TRUE(executor_->AckEvents(&context, request, &response).ok());
  }
  {
    Context context;
    v1::AdoptTasksRequest request;
    request.set_new_owner("n");
    request.add_tasks()->set_id(id);
    v1::AdoptTasksResponse response;
    ASSERT_TRUE(executor_->AdoptTasks(&context, request, &response).ok());
    EXPECT_EQ(response.results(0).outcome(), v1::AdoptResult::LIVE);
  }
  {
    Context context;
    v1::GetCapacityResponse response;
    ASSERT_TRUE(executor_->GetCapacity(&context, {}, &response).ok());
    EXPECT_EQ(response.max_running(), 7);
    EXPECT_TRUE(response.accepting());
  }
  {
    Context context;
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
    Context context;
    v1::GetStatusResponse response;
    ASSERT_TRUE(admin_->GetStatus(&context, {}, &response).ok());
    EXPECT_EQ(response.deployment_id(), "fake");
  }
  {
    Context context;
    v1::ListSandboxesResponse response;
    ASSERT_TRUE(admin_->ListSandboxes(&context, {}, &response).ok());
    EXPECT_EQ(response.sandboxes_size(), 1);
  }
  {
    Context context;
    v1::ListProvidersResponse response;
    ASSERT_TRUE(admin_->ListProviders(&context, {}, &response).ok());
    EXPECT_EQ(response.providers_size(), 1);
  }
  {
    Context context;
    v1::DrainResponse response;
    ASSERT_TRUE(admin_->Drain(&context, {}, &response).ok());
    EXPECT_EQ(response.still_running(), 1);
  }
  {
    Context context;
    v1::ReloadResponse response;
    ASSERT_TRUE(admin_->Reload(&context, {}, &response).ok());
    EXPECT_THAT(response.changed(), Contains("log.level"));
  }
  {
    Context context;
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
    Context context;
    v1::GetTaskRequest request;
    request.mutable_task()->set_id("nonesuch");
    v1::Task task;
    const grpc::Status status = executor_->GetTask(&context, request, &task);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(ReasonOf(status), "TASK_NOT_FOUND");
    EXPECT_THAT(status.error_message(), HasSubstr("nonesuch"));
  }
  {
    Context context;
    v1::CancelTasksResponse response;
    const grpc::Status status = executor_->CancelTasks(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "INVALID_REQUEST");
  }
  {
    server_.OnLoop([this] { server_.api().fail_next = absl::InternalError("broken"); });
    Context context;
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
  Context context;
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
  Context context;
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
    Context context;
    const grpc::Status status = executor_->SubmitTasks(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "BATCH_TOO_LARGE");
  }
  request.mutable_tasks(0)->mutable_command()->set_shell(std::string(17 << 20, 'x'));
  {
    Context context;
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
  Context context;
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
  Context context;
  v1::WaitTaskResponse response;
  ASSERT_TRUE(executor_->WaitTask(&context, request, &response).ok());
  EXPECT_EQ(server_.api().last_timeout_ms, 20);
}

TEST_F(GrpcServerTest, ACallerThatGoesAwayFreesItsWait) {
  Start();
  v1::WaitTaskRequest request;
  request.add_ids(Submit(1));
  Context context;
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

TEST_F(GrpcServerTest, EventsArriveInOrderAndAStreamResumesFromItsCursor) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 5; ++i) server_.api().AddEvent(id, std::to_string(i));
  });
  v1::WatchEventsRequest request;
  request.set_cursor("c2");
  request.set_follow(true);
  Context context;
  auto stream = executor_->WatchEvents(&context, request);
  std::vector<std::string> seen;
  v1::WatchEventsResponse response;
  while (seen.size() < 3 && stream->Read(&response)) {
    for (const v1::Event& event : response.events()) seen.push_back(event.task().message());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"2", "3", "4"}));
  server_.OnLoop([&] { server_.api().AddEvent(id, "live"); });
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.events(0).task().message(), "live");
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 0; }));
}

TEST_F(GrpcServerTest, WithoutFollowAStreamEndsAfterTheNewestEvent) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] { server_.api().AddEvent(id, "one"); });
  Context context;
  auto stream = executor_->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, LargeEventsAreSplitIntoMessagesThatClientsTake) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 12; ++i) server_.api().AddEvent(id, std::string(900'000, 'e'));
  });
  Context context;
  auto stream = executor_->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  int events = 0;
  while (stream->Read(&response)) {
    EXPECT_LT(response.ByteSizeLong(), 2u << 20);
    events += response.events_size();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(events, 12);
}

TEST_F(GrpcServerTest, ASubscriberThatDoesNotReadHoldsBackOnlyItself) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 200; ++i) server_.api().AddEvent(id, std::string(500'000, 'e'));
  });
  Context stuck;
  auto stream = executor_->WatchEvents(&stuck, {});
  stream->WaitForInitialMetadata();
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().events_read >= 1; }));
  // Others are served; nothing is read ahead for the one that does not read.
  for (int i = 2; i < 50; ++i) Submit(i);
  EXPECT_EQ(server_.api().events_read, 1);
  stuck.TryCancel();
  stream->Finish();
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 0; }));
}

TEST_F(GrpcServerTest, ASubscriberThatTakesNothingForTooLongIsCutAndResumes) {
  GrpcServerOptions options;
  options.event_stall_limit = std::chrono::milliseconds(200);
  Start(std::move(options));
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 200; ++i) server_.api().AddEvent(id, std::string(500'000, 'e'));
  });
  v1::WatchEventsRequest request;
  request.set_follow(true);
  Context stuck;
  auto stream = executor_->WatchEvents(&stuck, request);
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 1; }));
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 0; }));
  v1::WatchEventsResponse response;
  int seen = 0;
  while (stream->Read(&response)) seen += response.events_size();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_LT(seen, 200);

  request.set_cursor("c" + std::to_string(seen));
  Context fresh;
  auto rest = executor_->WatchEvents(&fresh, request);
  while (seen < 200 && rest->Read(&response)) seen += response.events_size();
  EXPECT_EQ(seen, 200);
  fresh.TryCancel();
  rest->Finish();
}

TEST_F(GrpcServerTest, EventErrorsReachTheSubscriber) {
  Start();
  server_.OnLoop([&] { server_.api().fail_next = absl::OutOfRangeError("compacted"); });
  Context context;
  auto stream = executor_->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(GrpcServerTest, ALogIsReadFromAnOffsetAndFollowed) {
  Start();
  const std::string id = Submit(1);
  const std::string text(300'000, 'l');
  server_.OnLoop([&] { server_.api().Write(id, text, false); });
  v1::ReadLogRequest request;
  request.set_id(id);
  request.set_offset(100'000);
  request.set_follow(true);
  Context context;
  auto stream = executor_->ReadLog(&context, request);
  std::string got;
  v1::ReadLogResponse piece;
  while (got.size() < 200'000 && stream->Read(&piece)) got += piece.data();
  EXPECT_EQ(got.size(), 200'000u);
  server_.OnLoop([&] { server_.api().Write(id, "tail", true); });
  while (stream->Read(&piece)) got += piece.data();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(piece.end());
  EXPECT_EQ(got.substr(200'000), "tail");
}

TEST_F(GrpcServerTest, StoppingRefusesSubmitsAndEndsStreamsWithAReason) {
  Start();
  const std::string id = Submit(1);
  v1::WatchEventsRequest watch;
  watch.set_follow(true);
  Context stream_context;
  auto stream = executor_->WatchEvents(&stream_context, watch);
  stream->WaitForInitialMetadata();

  server_.server().StopServing();
  v1::SubmitTasksRequest request;
  request.add_tasks()->set_submission_id(SubmissionUuid(2));
  v1::SubmitTasksResponse response;
  Context submit;
  const grpc::Status refused = executor_->SubmitTasks(&submit, request, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(refused), "SHUTTING_DOWN");
  EXPECT_TRUE(HasRetryInfo(refused));
  {
    Context context;
    v1::GetStatusResponse status;
    ASSERT_TRUE(admin_->GetStatus(&context, {}, &status).ok());
    EXPECT_TRUE(status.stopping());
    EXPECT_FALSE(status.ready());
  }
  server_.OnLoop([this] { server_.server().EndCalls(); });
  v1::WatchEventsResponse event;
  EXPECT_FALSE(stream->Read(&event));
  const grpc::Status ended = stream->Finish();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ended), "SHUTTING_DOWN");
}

TEST_F(GrpcServerTest, ReflectionListsAndDescribesTheServices) {
  Start();
  namespace reflection = grpc::reflection::v1alpha;
  auto stub = reflection::ServerReflection::NewStub(server_.Channel());
  Context context;
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

TEST_F(GrpcServerTest, TheUnixSocketIsPrivateAndGoesWithTheServer) {
  Start();
  struct stat info{};
  ASSERT_EQ(stat(server_.socket_path().c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(GrpcServerTest, TokensAreAskedForOnTcpAlsoByReflectionAndNotOnTheUnixSocket) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tokens_file = server_.WriteFile("tokens", "alice:s3cret-token\n");
  Start(options);
  const auto tcp = server_.TcpChannel(grpc::InsecureChannelCredentials());
  const grpc::Status missing = Capacity(tcp);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(missing), "TOKEN_MISSING");
  const grpc::Status wrong = Capacity(tcp, "guess");
  EXPECT_EQ(wrong.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(wrong), "TOKEN_INVALID");
  EXPECT_TRUE(Capacity(tcp, "s3cret-token").ok());
  EXPECT_TRUE(Capacity(server_.Channel()).ok());
  {
    Context context;
    auto stream = v1::Executor::NewStub(tcp)->WatchEvents(&context, {});
    v1::WatchEventsResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    Context context;
    v1::GetStatusResponse status;
    EXPECT_EQ(v1::Admin::NewStub(tcp)->GetStatus(&context, {}, &status).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    Context context;
    auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(tcp);
    auto stream = stub->ServerReflectionInfo(&context);
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  EXPECT_GE(server_.metrics().unauthenticated.load(), 5u);

  server_.WriteFile("tokens", "bob:other-token\n");
  ASSERT_TRUE(server_.server().Reload(std::nullopt, options.tokens_file).ok());
  EXPECT_FALSE(Capacity(tcp, "s3cret-token").ok());
  EXPECT_TRUE(Capacity(tcp, "other-token").ok());
  server_.WriteFile("tokens", "");
  EXPECT_FALSE(server_.server().Reload(std::nullopt, options.tokens_file).ok());
  EXPECT_TRUE(Capacity(tcp, "other-token").ok());
}

TEST_F(GrpcServerTest, AnOpenAddressWithoutTlsAndTokensIsRefused) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  EXPECT_TRUE(absl::IsFailedPrecondition(server_.Start(options)));
}

TEST_F(GrpcServerTest, AnAddressInUseIsNamed) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  Start(options);
  TestServer second;
  options.listen = {server_.server().addresses().at(1)};
  const absl::Status refused = second.Start(options);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(options.listen[0]));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use"));
}

// TLS with certificates made for each test.
class TlsTest : public GrpcServerTest {
 protected:
  TlsFiles Write(const TestCertificate& server, bool client_certificates) {
    TlsFiles files;
    files.cert_file = server_.WriteFile("server.pem", server.cert_pem);
    files.key_file = server_.WriteFile("server.key", server.key_pem);
    if (client_certificates) {
      files.client_ca_file = server_.WriteFile("ca.pem", authority_.cert_pem());
    }
    return files;
  }

  std::shared_ptr<grpc::Channel> Connect(const std::string& root,
                                         const TestCertificate& client = {}) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    options.pem_cert_chain = client.cert_pem;
    options.pem_private_key = client.key_pem;
    return server_.TcpChannel(grpc::SslCredentials(options));
  }

  TestAuthority authority_;
  TestAuthority stranger_;
};

TEST_F(TlsTest, ClientsMustShowACertificateOfOurAuthority) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  options.tls = Write(authority_.Issue("server"), true);
  Start(options);
  EXPECT_TRUE(Capacity(Connect(authority_.cert_pem(), authority_.Issue("client"))).ok());
  EXPECT_EQ(Capacity(Connect(authority_.cert_pem())).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Capacity(Connect(authority_.cert_pem(), stranger_.Issue("thief"))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Capacity(server_.TcpChannel(grpc::InsecureChannelCredentials())).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, WithTokensTlsAloneIsNotEnough) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  options.tls = Write(authority_.Issue("server"), false);
  options.tokens_file = server_.WriteFile("tokens", "s3cret-token\n");
  Start(options);
  const auto channel = Connect(authority_.cert_pem());
  EXPECT_EQ(Capacity(channel).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(Capacity(channel, "s3cret-token").ok());
}

TEST_F(TlsTest, ANewCertificateServesNewConnectionsAndDropsNoStream) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tls = Write(authority_.Issue("server"), false);
  Start(options);
  const std::string id = Submit(1);
  const auto before = Connect(authority_.cert_pem());
  auto stub = v1::Executor::NewStub(before);
  v1::WatchEventsRequest watch;
  watch.set_follow(true);
  Context context;
  auto stream = stub->WatchEvents(&context, watch);
  stream->WaitForInitialMetadata();

  // Signed by another authority, so that clients can tell which one is in force.
  const TlsFiles files = Write(stranger_.Issue("server"), false);
  ASSERT_TRUE(server_.server().Reload(files, "").ok());
  EXPECT_TRUE(Capacity(Connect(stranger_.cert_pem())).ok());
  EXPECT_FALSE(Capacity(Connect(authority_.cert_pem())).ok());

  server_.OnLoop([&] { server_.api().AddEvent(id, "still here"); });
  v1::WatchEventsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.events(0).task().message(), "still here");
  EXPECT_TRUE(Capacity(before).ok());
  context.TryCancel();
  stream->Finish();
}

TEST_F(TlsTest, ABadCertificateIsRefusedAndTheOldOneStays) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tls = Write(authority_.Issue("server"), false);
  Start(options);
  TestCertificate mixed = authority_.Issue("server");
  mixed.key_pem = authority_.Issue("other").key_pem;
  const absl::Status mismatch = server_.server().Reload(Write(mixed, false), "");
  EXPECT_THAT(std::string(mismatch.message()), HasSubstr("not the key of the certificate"));
  const absl::Status expired =
      server_.server().Reload(Write(authority_.Issue("server", -10), false), "");
  EXPECT_THAT(std::string(expired.message()), HasSubstr("expired"));
  EXPECT_FALSE(server_.server().Reload(Write({"garbage", "garbage"}, false), "").ok());
  const absl::Status switched =
      server_.server().Reload(Write(authority_.Issue("server"), true), "");
  EXPECT_THAT(std::string(switched.message()), HasSubstr("restart"));
  EXPECT_TRUE(Capacity(Connect(authority_.cert_pem())).ok());
}

}  // namespace
}  // namespace boxkeeper::daemon
