// Hostile bytes against the whole service, over real gRPC.
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "daemon/service/testing/fake_task_api.h"
#include "daemon/service/testing/service_test.h"

namespace boxkeeper::daemon {
namespace {

using RequestLimitsTest = ServiceTest;

// Sends `bytes` as the only message of a call to `method`, unary or not, and waits for its end.
grpc::Status Send(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                  const std::string& bytes, const std::string& token = "") {
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  CallContext context(token);
  grpc::CompletionQueue queue;
  auto call = grpc::GenericStub(channel).PrepareUnaryCall(&context, "/boxkeeper.v1." + method,
                                                          request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

// `count` empty entries of list 1.
std::string EmptyItems(size_t count) {
  std::string bytes(2 * count, '\0');
  for (size_t i = 0; i < bytes.size(); i += 2) bytes[i] = '\x0a';
  return bytes;
}

// Lists of lists of lists..., as an item's sandbox_override.
std::string DeepItem(int levels) {
  v1::SubmitTasksRequest request;
  google::protobuf::Value* value =
      &(*request.add_tasks()->mutable_sandbox_override()->mutable_fields())["a"];
  for (int i = 0; i < levels; ++i) value = value->mutable_list_value()->add_values();
  value->set_bool_value(true);
  return request.SerializeAsString();
}

const char* const kMethods[] = {
    "Executor/SubmitTasks",  "Executor/GetTask",     "Executor/ListTasks",
    "Executor/WaitTask",     "Executor/CancelTasks", "Executor/WatchEvents",
    "Executor/AckEvents",    "Executor/AdoptTasks",  "Executor/ReadLog",
    "Executor/GetCapacity",  "Executor/RenewLease",  "Executor/ListArtifacts",
    "Executor/ReadArtifact", "Admin/GetStatus",      "Admin/ListSandboxes",
    "Admin/ListProviders",   "Admin/Drain",          "Admin/Reload",
    "Admin/AbandonTask",     "Admin/ListOrphans",    "Admin/ReapOrphans"};

TEST_F(RequestLimitsTest, MillionsOfEmptyItemsAreRefusedBeforeTheyAreBuilt) {
  Start();
  for (const auto& [method, count] :
       {std::pair("Executor/SubmitTasks", 4'000'000), std::pair("Executor/SubmitTasks", 1001),
        std::pair("Executor/CancelTasks", 8'000'000), std::pair("Executor/WaitTask", 8'000'000),
        std::pair("Executor/RenewLease", 8'000'000)}) {
    const grpc::Status status = Send(server_.Channel(), method, EmptyItems(count));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(ReasonOf(status), "TOO_MANY_ITEMS") << method;
  }
  const grpc::Status scalar =
      Send(server_.Channel(), "Executor/WatchEvents", EmptyItems(8'000'000));
  EXPECT_EQ(ReasonOf(scalar), "TOO_MANY_FIELDS");
  Submit(1);
}

TEST_F(RequestLimitsTest, MalformedBytesAreInvalidForEveryMethod) {
  Start();
  for (const char* method : kMethods) {
    for (const std::string& bytes : {std::string(50, '\xff'), std::string("\x0a\x7fx")}) {
      const grpc::Status status = Send(server_.Channel(), method, bytes);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
      EXPECT_EQ(ReasonOf(status), "MALFORMED_REQUEST") << method;
      EXPECT_FALSE(status.error_message().empty());
    }
  }
  // The wire form is right, the text is no UTF-8.
  EXPECT_EQ(ReasonOf(Send(server_.Channel(), "Executor/WaitTask", "\x0a\x01\xff")),
            "MALFORMED_REQUEST");
}

TEST_F(RequestLimitsTest, DeepNestingIsInvalid) {
  Start();
  EXPECT_TRUE(Send(server_.Channel(), "Executor/SubmitTasks", DeepItem(20)).ok());
  for (const int levels : {90, 5000}) {
    const grpc::Status status = Send(server_.Channel(), "Executor/SubmitTasks", DeepItem(levels));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "MALFORMED_REQUEST");
  }
}

TEST_F(RequestLimitsTest, WhoMayNotCallIsToldOnlyThat) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tokens_file = server_.WriteFile("tokens", "alice:s3cret-token\n");
  Start(options);
  const auto tcp = server_.TcpChannel(grpc::InsecureChannelCredentials());
  for (const char* method : kMethods) {
    EXPECT_EQ(ReasonOf(Send(tcp, method, std::string(50, '\xff'))), "TOKEN_MISSING") << method;
  }
  const std::string huge = EmptyItems(8'000'000);
  const grpc::Status status = Send(tcp, "Executor/CancelTasks", huge);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(status), "TOKEN_MISSING");
  EXPECT_EQ(ReasonOf(Send(tcp, "Executor/CancelTasks", huge, "s3cret-token")), "TOO_MANY_ITEMS");
}

}  // namespace
}  // namespace boxkeeper::daemon
