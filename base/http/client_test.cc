#include "base/http/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/http/testing/client_fixture.h"
#include "base/http/testing/fake_http_server.h"
#include "base/http/testing/test_certificate.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::base::http {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string Chunk(const std::string& data) {
  char size[16];
  snprintf(size, sizeof(size), "%zx\r\n", data.size());
  return size + data + "\r\n";
}

TEST_F(ClientTest, SendsARequestAndReadsTheReply) {
  options_.headers = {{"User-Agent", "test"}, {"X-A", "default"}};
  Serve([](const ReceivedRequest&) { return Ok("hello"); });
  options_.base = *ParseBaseUrl(server_->url() + "/base");
  Request request = Post("payload");
  request.target = "/x?y=1";
  request.headers = {{"X-A", "own"}};
  const auto reply = Fetch(std::move(request));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "hello");
  const ReceivedRequest& got = server_->requests().at(0);
  EXPECT_EQ(got.method, "POST");
  EXPECT_EQ(got.target, "/base/x?y=1");
  EXPECT_EQ(got.body, "payload");
  EXPECT_NE(got.head.find("Host: 127.0.0.1:" + std::to_string(server_->port())), std::string::npos);
  EXPECT_NE(got.head.find("X-A: own"), std::string::npos) << got.head;
  EXPECT_NE(got.head.find("User-Agent: test"), std::string::npos) << got.head;
}

TEST_F(ClientTest, AnErrorStatusIsAReply) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 503 Nope\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"}};
  });
  const auto reply = Get("/");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(*reply->headers.Find("retry-after"), "7");
  EXPECT_EQ(reply->body, "no");
}

TEST_F(ClientTest, ConnectionsAreKeptAndClosedWhenOld) {
  Serve([](const ReceivedRequest&) { return Ok("x"); });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Get("/").ok());
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_EQ(client().idle(), 1u);
  clock_.Advance(options_.keep_idle);
  EXPECT_EQ(client().idle(), 0u);
  RunUntil([&] { return server_->open() == 0; });
}

TEST_F(ClientTest, ADeadKeptConnectionIsNotUsed) {
  Serve([](const ReceivedRequest&) { return Ok("x"); });
  ASSERT_TRUE(Get("/").ok());
  server_->CloseConnections();
  ASSERT_TRUE(Fetch(Post("once")).ok());
  EXPECT_EQ(server_->connections(), 2);
  EXPECT_EQ(server_->requests().size(), 2u);
}

TEST_F(ClientTest, WhatIsIdempotentIsSentAgainWhenAKeptConnectionDies) {
  int count = 0;
  Serve([&](const ReceivedRequest&) { return ++count == 2 ? Answer{.close = true} : Ok("x"); });
  ASSERT_TRUE(Get("/").ok());
  EXPECT_TRUE(Get("/").ok());
  EXPECT_EQ(server_->requests().size(), 3u);
}

TEST_F(ClientTest, NothingElseIsSentTwice) {
  int count = 0;
  Serve([&](const ReceivedRequest&) { return ++count == 2 ? Answer{.close = true} : Ok("x"); });
  ASSERT_TRUE(Get("/").ok());
  const auto reply = Fetch(Post("create"));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << reply.status();
  EXPECT_FALSE(IsCertainlyNotSent(reply.status()));
  EXPECT_EQ(server_->requests().size(), 2u);
  // On a fresh connection even a GET is not: nothing says that the server is well.
  count = 1;
  client_.reset();
  EXPECT_FALSE(Get("/").ok());
}

TEST_F(ClientTest, NobodyListensIsCertainlyNotSent) {
  Serve([](const ReceivedRequest&) { return Ok(""); });
  server_.reset();
  const auto reply = Fetch(Post("x"));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << reply.status();
  EXPECT_TRUE(IsCertainlyNotSent(reply.status()));
}

TEST_F(ClientTest, ForbiddenAddressesAreNotDialled) {
  options_.base = *ParseBaseUrl("http://169.254.169.254/latest");
  const auto reply = Get("/meta-data");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied) << reply.status();
  EXPECT_TRUE(IsCertainlyNotSent(reply.status()));
}

TEST_F(ClientTest, ASilentServerHasItsTime) {
  Serve([](const ReceivedRequest&) { return Answer{}; });
  auto silent = Begin({});
  RunUntil([&] { return server_->requests().size() == 1; });
  clock_.Advance(options_.timeouts.headers - milliseconds(1));
  EXPECT_FALSE(silent->reply.has_value());
  clock_.Advance(milliseconds(1));
  RunUntil([&] { return silent->reply.has_value(); });
  EXPECT_EQ(silent->reply->status().message(), "response: took too long");
}

TEST_F(ClientTest, ABodyMayNotStall) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", "67890"}};
  });
  std::vector<absl::StatusOr<std::string>> reads;
  Client* target = &client();
  group_.Spawn("read", [&, target]() -> asio::awaitable<void> {
    auto response = co_await target->Send({});
    EXPECT_TRUE(response.ok()) << response.status();
    for (int i = 0; i < 2; ++i) {
      auto piece = co_await response->body->Read();
      reads.push_back(std::move(piece));
    }
  });
  RunUntil([&] { return reads.size() == 1; });
  clock_.Advance(options_.timeouts.idle - milliseconds(1));
  EXPECT_EQ(reads.size(), 1u);
  clock_.Advance(milliseconds(1));
  RunUntil([&] { return reads.size() == 2; });
  EXPECT_EQ(*reads[0], "12345");
  EXPECT_EQ(reads[1].status().message(), "body: took too long");
  RunUntil([&] { return client().busy() == 0; });
}

TEST_F(ClientTest, TheWholeHasADeadline) {
  Serve([](const ReceivedRequest&) { return Answer{}; });
  Request request;
  request.deadline = clock_.Boot() + seconds(2);
  auto call = Begin(std::move(request));
  RunUntil([&] { return server_->requests().size() == 1; });
  clock_.Advance(seconds(2));
  RunUntil([&] { return call->reply.has_value(); });
  EXPECT_EQ(call->reply->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, ACutBodyIsAnErrorHoweverItWasFramed) {
  for (const std::string head :
       {"Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n123"}) {
    client_.reset();
    options_.base = {};
    Serve([&](const ReceivedRequest&) {
      return Answer{.pieces = {"HTTP/1.1 200 OK\r\n" + head}, .close = true};
    });
    const auto reply = Get("/");
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << head << reply.status();
  }
}

TEST_F(ClientTest, ABodyWithoutLengthEndsWithTheConnection) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.0 200 OK\r\n\r\nall of it"}, .close = true};
  });
  const auto reply = Get("/");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->body, "all of it");
  EXPECT_EQ(client().idle(), 0u);
}

TEST_F(ClientTest, PiecesArriveWhenTheyAreSent) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + Chunk("one"),
                             Chunk("two"), "0\r\n\r\n"}};
  });
  std::vector<std::string> seen;
  bool ended = false;
  Client* target = &client();
  group_.Spawn("read", [&, target]() -> asio::awaitable<void> {
    auto response = co_await target->Send({});
    EXPECT_TRUE(response.ok()) << response.status();
    for (;;) {
      auto piece = co_await response->body->Read();
      EXPECT_TRUE(piece.ok()) << piece.status();
      if (!piece.ok() || piece->empty()) break;
      seen.push_back(*piece);
    }
    ended = true;
  });
  RunUntil([&] { return seen.size() == 1; });
  server_->Continue();
  RunUntil([&] { return seen.size() == 2; });
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(client().busy(), 1u);
  server_->Continue();
  RunUntil([&] { return ended; });
  EXPECT_EQ(client().busy(), 0u);
  EXPECT_EQ(client().idle(), 1u);
}

class Letters final : public BodySource {
 public:
  Letters(std::vector<std::string> pieces, std::optional<uint64_t> size)
      : pieces_(std::move(pieces)), size_(size) {}
  std::optional<uint64_t> size() const override { return size_; }
  asio::awaitable<absl::StatusOr<std::string>> Next() override {
    co_return next_ < pieces_.size() ? pieces_[next_++] : std::string();
  }

 private:
  std::vector<std::string> pieces_;
  std::optional<uint64_t> size_;
  size_t next_ = 0;
};

TEST_F(ClientTest, BodiesAreStreamedWithAndWithoutALength) {
  Serve([](const ReceivedRequest&) { return Ok(""); });
  for (const std::optional<uint64_t> size :
       {std::optional<uint64_t>(6), std::optional<uint64_t>()}) {
    Request request = Post("");
    request.stream = std::make_unique<Letters>(std::vector<std::string>{"abc", "def"}, size);
    ASSERT_TRUE(Fetch(std::move(request)).ok());
    EXPECT_EQ(server_->requests().back().body, "abcdef");
  }
  EXPECT_NE(server_->requests()[0].head.find("Content-Length: 6"), std::string::npos);
  EXPECT_NE(server_->requests()[1].head.find("chunked"), std::string::npos);
  Request wrong = Post("");
  wrong.stream = std::make_unique<Letters>(std::vector<std::string>{"abc"}, 6);
  EXPECT_EQ(Fetch(std::move(wrong)).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string large(3'000'000, 'x');
  ASSERT_TRUE(Fetch(Post(large)).ok());
  EXPECT_EQ(server_->requests().back().body, large);
}

TEST_F(ClientTest, AServerThatAnswersEarlyIsHeard) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"},
                  .close = true,
                  .skip_body = true};
  });
  // More than any socket buffer takes.
  std::string large;
  large.resize(20'000'000, 'x');
  const auto reply = Fetch(Post(std::move(large)));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 413);
  EXPECT_EQ(client().idle(), 0u);
}

TEST_F(ClientTest, SizesAreBounded) {
  std::string answer;
  Serve([&](const ReceivedRequest&) { return Answer{.pieces = {answer}, .close = true}; });
  answer = "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(Get("/").status().code(), absl::StatusCode::kUnavailable);
  answer = Ok(std::string(5000, 'x')).pieces[0];
  EXPECT_EQ(Fetch({}, 4999).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Fetch({}, 5000).ok());
}

TEST_F(ClientTest, WhatIsNoHttpIsAnError) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"SSH-2.0-OpenSSH_9.2\r\n\r\n"}, .close = true};
  });
  EXPECT_EQ(Get("/").status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, HeadAndInterimResponses) {
  Serve([](const ReceivedRequest& request) {
    if (request.method == "HEAD") {
      return Answer{.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}};
    }
    return Answer{.pieces = {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                             "HTTP/1.1 204 No Content\r\n\r\n"}};
  });
  Request head;
  head.method = "HEAD";
  const auto reply = Fetch(std::move(head));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(*reply->headers.Find("Content-Length"), "5");
  EXPECT_EQ(reply->body, "");
  EXPECT_EQ(Get("/")->status, 204);
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(ClientTest, AConnectionThatSwitchedProtocolsIsNotKept) {
  Serve([](const ReceivedRequest&) {
    return Answer{
        .pieces = {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"}};
  });
  const auto reply = Get("/");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 101);
  EXPECT_EQ(client().idle(), 0u);
}

TEST_F(ClientTest, RedirectsStayOnTheServer) {
  Serve([](const ReceivedRequest& request) {
    if (request.target == "/done") return Ok(request.method);
    const std::string to = request.target == "/out"    ? "https://example.com/"
                           : request.target == "/loop" ? "/loop"
                                                       : "/done";
    return Answer{
        .pieces = {"HTTP/1.1 303 See\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n"}};
  });
  EXPECT_EQ(Get("/start")->body, "GET");
  Request post = Post("x");
  post.target = "/start";
  EXPECT_EQ(Fetch(std::move(post))->body, "GET");
  EXPECT_EQ(Get("/out").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Get("/loop").status().code(), absl::StatusCode::kUnavailable);
  Request stay;
  stay.target = "/out";
  stay.follow_redirects = false;
  EXPECT_EQ(Fetch(std::move(stay))->status, 303);
}

TEST_F(ClientTest, NoMoreConnectionsThanAllowed) {
  options_.connections_max = 2;
  options_.waiting_max = 3;
  Serve([](const ReceivedRequest&) { return Answer{.pieces = {Ok("").pieces[0]}}; });
  std::vector<std::shared_ptr<Call>> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(Begin({}));
  RunUntil([&] {
    return std::all_of(calls.begin(), calls.end(), [](auto& c) { return c->reply.has_value(); });
  });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(calls[static_cast<size_t>(i)]->reply->ok());
  EXPECT_EQ(calls[5]->reply->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(IsCertainlyNotSent(calls[5]->reply->status()));
  EXPECT_LE(server_->connections(), 2);
}

TEST_F(ClientTest, ACancelledCallLeavesNothing) {
  options_.connections_max = 1;
  Serve([](const ReceivedRequest&) { return Answer{}; });
  Begin({});
  Begin({});
  RunUntil([&] { return server_->requests().size() == 1; });
  asio::post(loop_, [this] { group_.Cancel(); });
  RunUntil([&] { return group_.size() == 0 && server_->open() == 0; });
  EXPECT_EQ(client().busy(), 0u);
}

TEST_F(ClientTest, RequestsCannotBeSmuggled) {
  Serve([](const ReceivedRequest&) { return Ok(""); });
  for (const char* target : {"", "x", "/a b", "/a\r\nX: y", "http://other/"}) {
    EXPECT_EQ(Get(target).status().code(), absl::StatusCode::kInvalidArgument) << target;
  }
  Request header;
  header.headers = {{"X", "a\r\nY: b"}};
  EXPECT_EQ(Fetch(std::move(header)).status().code(), absl::StatusCode::kInvalidArgument);
  Request method;
  method.method = "GET / HTTP/1.1\r\nX:";
  EXPECT_EQ(Fetch(std::move(method)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(ClientTest, UnixSockets) {
  std::string folder = "/tmp/bk-http-XXXXXX";  // a socket's path is short
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/s";
  Serve([](const ReceivedRequest&) { return Ok("local"); }, {.unix_path = path});
  EXPECT_EQ(Get("/v1.43/info")->body, "local");
  EXPECT_NE(server_->requests()[0].head.find("Host: localhost\r\n"), std::string::npos);
  std::filesystem::remove_all(folder);
}

class TlsTest : public ClientTest {
 protected:
  TlsTest() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    std::ofstream(folder_ + "/ca.pem") << localhost_.certificate;
  }
  ~TlsTest() override { std::filesystem::remove_all(folder_); }

  void ServeTls(const TestCertificate& certificate) {
    Serve([](const ReceivedRequest&) { return Ok("secret"); },
          {.certificate = certificate.certificate, .key = certificate.key, .tls_from_start = true});
  }

  std::string folder_ = ::testing::TempDir() + "/tls_XXXXXX";
  const TestCertificate localhost_ = MakeTestCertificate("DNS:localhost");
};

TEST_F(TlsTest, VerifiesAndSaysWhomItWants) {
  options_.ca_file = folder_ + "/ca.pem";
  ServeTls(localhost_);
  for (int i = 0; i < 2; ++i) {
    const auto reply = Get("/");
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->body, "secret");
  }
  EXPECT_EQ(server_->server_name(), "localhost");
}

TEST_F(TlsTest, RefusesAStrangersCertificate) {
  ServeTls(localhost_);  // and the system's authorities do not know it
  const auto reply = Get("/");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied) << reply.status();
  EXPECT_TRUE(IsCertainlyNotSent(reply.status()));
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(TlsTest, RefusesACertificateOfAnotherHost) {
  const TestCertificate other = MakeTestCertificate("DNS:other.example");
  std::ofstream(folder_ + "/other.pem") << other.certificate;
  options_.ca_file = folder_ + "/other.pem";
  ServeTls(other);
  const auto reply = Get("/");
  EXPECT_FALSE(reply.ok());
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(TlsTest, GoesThroughAProxysTunnel) {
  options_.ca_file = folder_ + "/ca.pem";
  Serve(
      [](const ReceivedRequest& request) {
        if (request.method != "CONNECT") return Ok("through");
        return Answer{.pieces = {"HTTP/1.1 200 Established\r\n\r\n"}, .start_tls = true};
      },
      {.certificate = localhost_.certificate, .key = localhost_.key});
  options_.base = *ParseBaseUrl("https://localhost:9");
  options_.proxy = Proxy{ParseBaseUrl(server_->url())->origin, "Basic abc"};
  const auto reply = Get("/x");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->body, "through");
  EXPECT_EQ(server_->requests()[0].target, "localhost:9");
  EXPECT_NE(server_->requests()[0].head.find("Proxy-Authorization: Basic abc"), std::string::npos);
  EXPECT_EQ(server_->requests()[1].target, "/x");
  EXPECT_EQ(server_->requests()[1].head.find("Proxy-Authorization"), std::string::npos);
}

TEST_F(ClientTest, PlainRequestsGoToTheProxyWhole) {
  Serve([](const ReceivedRequest&) { return Ok("by proxy"); });
  options_.base = *ParseBaseUrl("http://api.example:81/v1");
  options_.proxy = Proxy{ParseBaseUrl(server_->url())->origin};
  EXPECT_EQ(Get("/x")->body, "by proxy");
  EXPECT_EQ(server_->requests()[0].target, "http://api.example:81/v1/x");
}

TEST_F(ClientTest, AProxyThatRefusesIsAnError) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"}, .close = true};
  });
  options_.base = *ParseBaseUrl("https://localhost:9");
  options_.proxy = Proxy{ParseBaseUrl(server_->url())->origin};
  const auto reply = Get("/");
  EXPECT_EQ(reply.status().message(), "proxy: answered CONNECT with 407");
  EXPECT_TRUE(IsCertainlyNotSent(reply.status()));
}

TEST(ClientCreate, SaysWhenTheAuthoritiesCannotBeRead) {
  asio::io_context loop;
  FakeClock clock(loop);
  ClientOptions options;
  options.base = *ParseBaseUrl("https://localhost");
  options.ca_file = "/nonexistent/ca.pem";
  const auto made = Client::Create({clock, loop.get_executor()}, options);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace boxkeeper::base::http
