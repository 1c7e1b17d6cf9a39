// What tests of the HTTP client share.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/http/client.h"
#include "base/http/testing/fake_http_server.h"
#include "base/task_group.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::base::http {

// A client and the server it talks to, on one loop with real sockets and virtual time.
class ClientTest : public ::testing::Test {
 protected:
  ~ClientTest() override {
    boost::asio::post(loop_, [this] { group_.Cancel(); });
    clock_.RunUntilIdle();
  }

  void Serve(FakeHttpServer::Handler handler, FakeHttpServer::Options options = {}) {
    server_.emplace(loop_, std::move(handler), std::move(options));
    if (options_.base.origin.host.empty()) options_.base = *ParseBaseUrl(server_->url());
  }
  Client& client() {
    if (client_ == nullptr) {
      auto made = Client::Create({clock_, loop_.get_executor()}, options_);
      EXPECT_TRUE(made.ok()) << made.status();
      client_ = *std::move(made);
    }
    return *client_;
  }

  // Runs the loop, with real sockets and virtual time, until the condition holds.
  template <typename Condition>
  void RunUntil(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "the condition did not come true";
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(10));
    }
  }

  struct Call {
    std::optional<absl::StatusOr<Reply>> reply;
  };
  // Begins a Fetch; the reply is there when `reply` has a value.
  std::shared_ptr<Call> Begin(Request request, size_t max = 1 << 20) {
    auto call = std::make_shared<Call>();
    auto shared = std::make_shared<Request>(std::move(request));
    Client* target = &client();
    group_.Spawn("fetch", [call, shared, target, max]() -> boost::asio::awaitable<void> {
      auto reply = co_await target->Fetch(std::move(*shared), max);
      call->reply = std::move(reply);
    });
    return call;
  }
  absl::StatusOr<Reply> Fetch(Request request, size_t max = 1 << 20) {
    auto call = Begin(std::move(request), max);
    RunUntil([&] { return call->reply.has_value(); });
    return call->reply.value_or(absl::InternalError("no reply"));
  }
  absl::StatusOr<Reply> Get(std::string target) {
    Request request;
    request.target = std::move(target);
    return Fetch(std::move(request));
  }
  static Request Post(std::string body) {
    Request request;
    request.method = "POST";
    request.body = std::move(body);
    return request;
  }

  boost::asio::io_context loop_;
  FakeClock clock_{loop_};
  ClientOptions options_;
  std::optional<FakeHttpServer> server_;
  std::unique_ptr<Client> client_;
  TaskGroup group_{clock_, loop_.get_executor()};
};

}  // namespace boxkeeper::base::http
