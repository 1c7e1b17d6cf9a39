// What the tests of the whole service share: a server on a fake core, stubs, and a look into
// errors.
#pragma once

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "boxkeeper/v1/admin.grpc.pb.h"
#include "boxkeeper/v1/executor.grpc.pb.h"
#include "daemon/service/testing/test_server.h"

namespace boxkeeper::daemon {

// ErrorInfo's reason of a failed call.
std::string ReasonOf(const grpc::Status& status);
bool HasRetryInfo(const grpc::Status& status);

// A call's context with a generous deadline and, if given, a token.
struct CallContext : grpc::ClientContext {
  explicit CallContext(const std::string& token = "") {
    set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!token.empty()) AddMetadata("authorization", "Bearer " + token);
  }
};

class ServiceTest : public ::testing::Test {
 protected:
  void Start(GrpcServerOptions options = {});
  // Submits one good item; returns its id.
  std::string Submit(int number);

  TestServer server_;
  std::unique_ptr<v1::Executor::Stub> executor_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace boxkeeper::daemon
