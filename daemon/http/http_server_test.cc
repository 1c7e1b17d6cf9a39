#include "daemon/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "base/real_clock.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest()
      : clock_(base::MakeRealClock()),
        work_(asio::make_work_guard(loop_)),
        thread_([this] { loop_.run(); }) {}

  ~HttpServerTest() override {
    server_.reset();
    work_.reset();
    loop_.stop();
    thread_.join();
  }

  void Start(HttpServerOptions options = {}) {
    if (options.listen.empty()) options.listen = "127.0.0.1:0";
    HttpSources sources;
    sources.metrics = [] { return std::vector<prometheus::MetricFamily>(); };
    sources.not_ready_because = [this] { return reasons_; };
    auto server = HttpServer::Start(loop_, *clock_, std::move(sources), std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  asio::ip::tcp::socket Connect() {
    asio::ip::tcp::socket socket(client_);
    const std::string& address = server_->address();
    const auto port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }

  // Sends `text` and returns all that comes until the server closes.
  std::string Exchange(const std::string& text) {
    auto socket = Connect();
    asio::write(socket, asio::buffer(text));
    std::string answer;
    boost::system::error_code end;
    asio::read(socket, asio::dynamic_buffer(answer), end);
    return answer;
  }

  std::string Get(const std::string& path, const std::string& method = "GET") {
    return Exchange(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  std::unique_ptr<base::Clock> clock_;
  asio::io_context loop_;
  asio::io_context client_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::string> reasons_;  // set before the request that reads it
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HttpServerTest, ServesItsPages) {
  Start();
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/metrics?x=1"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("{\"ready\":true"));
  reasons_ = {"recovering"};
  const std::string waiting = Get("/readyz");
  EXPECT_THAT(waiting, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(waiting, HasSubstr("recovering"));
}

TEST_F(HttpServerTest, RefusesOtherPathsAndMethods) {
  Start();
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404"));
  const std::string post = Get("/metrics", "POST");
  EXPECT_THAT(post, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(post, HasSubstr("Allow: GET, HEAD"));
}

TEST_F(HttpServerTest, HeadHasLengthAndNoBody) {
  Start();
  const std::string answer = Get("/healthz", "HEAD");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 15\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("alive")));
}

TEST_F(HttpServerTest, KeepsAConnectionOpen) {
  Start();
  auto socket = Connect();
  for (int i = 0; i < 3; ++i) {
    asio::write(socket, asio::buffer(std::string("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")));
    std::string answer;
    while (answer.find("alive") == std::string::npos) {
      char data[512];
      answer.append(data, socket.read_some(asio::buffer(data)));
    }
  }
}

TEST_F(HttpServerTest, CutsWhatIsNoHttpOrTooLarge) {
  Start();
  EXPECT_EQ(Exchange("this is not HTTP\r\n\r\n"), "");
  EXPECT_EQ(Exchange("GET /healthz HTTP/1.1\r\nX: " + std::string(7000, 'x') +
                     "\r\nY: " + std::string(7000, 'y') + "\r\n\r\n"),
            "");
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, CutsASlowRequest) {
  HttpServerOptions options;
  options.idle_timeout = std::chrono::seconds(1);
  Start(std::move(options));
  EXPECT_EQ(Exchange("GET /healthz"), "");  // returns when the server has given up
}

TEST_F(HttpServerTest, ClientsThatNeverFinishARequestDoNotShutOutOthers) {
  HttpServerOptions options;
  options.connections_max = 2;
  Start(std::move(options));
  auto first = Connect();
  auto second = Connect();
  asio::write(first, asio::buffer(std::string("GET /hea")));
  asio::write(second, asio::buffer(std::string("GET /hea")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  // The bound holds: who waited longest was cut.
  boost::system::error_code end;
  char data[16];
  first.read_some(asio::buffer(data), end);
  EXPECT_TRUE(end);
}

TEST_F(HttpServerTest, StoppingCutsOpenConnections) {
  Start();
  auto silent = Connect();
  auto idle = Connect();
  asio::write(idle, asio::buffer(std::string("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")));
  std::string answer;
  char data[512];
  while (answer.find("alive") == std::string::npos) {
    answer.append(data, idle.read_some(asio::buffer(data)));
  }
  server_->Stop();
  boost::system::error_code end;
  silent.read_some(asio::buffer(data), end);
  EXPECT_TRUE(end);
  idle.read_some(asio::buffer(data), end);
  EXPECT_TRUE(end);
}

TEST_F(HttpServerTest, SaysThatTheLoopIsStuck) {
  HttpServerOptions options;
  options.loop_timeout = std::chrono::seconds(1);
  Start(std::move(options));
  std::promise<void> release;
  asio::post(loop_, [&] { release.get_future().wait(); });
  const std::string answer = Get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("event loop"));
  release.set_value();
}

TEST_F(HttpServerTest, ListensOnLoopbackOnly) {
  for (const char* open : {"0.0.0.0:0", "10.0.0.1:0", "unix:/tmp/x", "nonsense"}) {
    HttpServerOptions options;
    options.listen = open;
    EXPECT_TRUE(
        absl::IsInvalidArgument(HttpServer::Start(loop_, *clock_, HttpSources(), options).status()))
        << open;
  }
}

TEST_F(HttpServerTest, AnAddressInUseIsNamed) {
  Start();
  HttpServerOptions options;
  options.listen = server_->address();
  const auto second = HttpServer::Start(loop_, *clock_, HttpSources(), options);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address()));
}

}  // namespace
}  // namespace boxkeeper::daemon
