#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "daemon/service/testing/fake_task_api.h"
#include "daemon/service/testing/service_test.h"

namespace boxkeeper::daemon {
namespace {

using StreamsTest = ServiceTest;

TEST_F(StreamsTest, EventsArriveInOrderAndAStreamResumesFromItsCursor) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 5; ++i) server_.api().AddEvent(id, std::to_string(i));
  });
  v1::WatchEventsRequest request;
  request.set_cursor("c2");
  request.set_follow(true);
  CallContext context;
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

TEST_F(StreamsTest, WithoutFollowAStreamEndsAfterTheNewestEvent) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] { server_.api().AddEvent(id, "one"); });
  CallContext context;
  auto stream = executor_->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamsTest, LargeEventsAreSplitIntoMessagesThatClientsTake) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 12; ++i) server_.api().AddEvent(id, std::string(900'000, 'e'));
  });
  CallContext context;
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

TEST_F(StreamsTest, ASubscriberThatDoesNotReadHoldsBackOnlyItself) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 200; ++i) server_.api().AddEvent(id, std::string(500'000, 'e'));
  });
  CallContext stuck;
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

TEST_F(StreamsTest, ASubscriberThatTakesNothingForTooLongIsCutAndResumes) {
  GrpcServerOptions options;
  options.event_stall_limit = std::chrono::milliseconds(200);
  Start(std::move(options));
  const std::string id = Submit(1);
  server_.OnLoop([&] {
    for (int i = 0; i < 200; ++i) server_.api().AddEvent(id, std::string(500'000, 'e'));
  });
  v1::WatchEventsRequest request;
  request.set_follow(true);
  CallContext stuck;
  auto stream = executor_->WatchEvents(&stuck, request);
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 1; }));
  EXPECT_TRUE(TestServer::Eventually([&] { return server_.api().readers == 0; }));
  v1::WatchEventsResponse response;
  int seen = 0;
  while (stream->Read(&response)) seen += response.events_size();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_LT(seen, 200);

  request.set_cursor("c" + std::to_string(seen));
  CallContext fresh;
  auto rest = executor_->WatchEvents(&fresh, request);
  while (seen < 200 && rest->Read(&response)) seen += response.events_size();
  EXPECT_EQ(seen, 200);
  fresh.TryCancel();
  rest->Finish();
}

TEST_F(StreamsTest, EventErrorsReachTheSubscriber) {
  Start();
  server_.OnLoop([&] { server_.api().fail_next = absl::OutOfRangeError("compacted"); });
  CallContext context;
  auto stream = executor_->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(StreamsTest, ALogIsReadFromAnOffsetAndFollowed) {
  Start();
  const std::string id = Submit(1);
  const std::string text(300'000, 'l');
  server_.OnLoop([&] { server_.api().Write(id, text, false); });
  v1::ReadLogRequest request;
  request.set_id(id);
  request.set_offset(100'000);
  request.set_follow(true);
  CallContext context;
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

TEST_F(StreamsTest, AnArtifactIsReadFromAnOffset) {
  Start();
  const std::string id = Submit(1);
  server_.OnLoop([&] { server_.api().Write(id, std::string(300'000, 'a') + "end", true); });
  v1::ReadArtifactRequest request;
  request.mutable_task()->set_id(id);
  request.set_path("out");
  request.set_offset(100'000);
  CallContext context;
  auto stream = executor_->ReadArtifact(&context, request);
  std::string got;
  v1::ReadArtifactResponse piece;
  while (stream->Read(&piece)) got += piece.data();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(piece.end());
  EXPECT_EQ(got, std::string(200'000, 'a') + "end");
  request.mutable_task()->set_id("nobody");
  CallContext second;
  auto refused = executor_->ReadArtifact(&second, request);
  EXPECT_FALSE(refused->Read(&piece));
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(StreamsTest, StoppingRefusesSubmitsAndEndsStreamsWithAReason) {
  Start();
  v1::WatchEventsRequest watch;
  watch.set_follow(true);
  CallContext stream_context;
  auto stream = executor_->WatchEvents(&stream_context, watch);
  stream->WaitForInitialMetadata();

  server_.server().StopServing();
  v1::SubmitTasksRequest request;
  request.add_tasks()->set_submission_id(SubmissionUuid(2));
  v1::SubmitTasksResponse response;
  CallContext submit;
  const grpc::Status refused = executor_->SubmitTasks(&submit, request, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(refused), "SHUTTING_DOWN");
  EXPECT_TRUE(HasRetryInfo(refused));
  {
    CallContext context;
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

}  // namespace
}  // namespace boxkeeper::daemon
