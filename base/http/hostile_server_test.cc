// A server that means harm: whatever it sends, a request ends in time, in bounded memory, and hurts
// no other.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/http/testing/client_fixture.h"
#include "base/http/testing/test_certificate.h"

namespace boxkeeper::base::http {
namespace {

using std::chrono::seconds;

constexpr size_t kMany = 4 << 20;  // bytes; much more than any bound of the client

class HostileServerTest : public ClientTest {
 protected:
  // Answers everything with `answer`; the connection stays open.
  void ServeAlways(std::string answer) {
    Serve([answer](const ReceivedRequest&) { return Answer{.pieces = {answer}}; });
  }
  // What came of a request, without virtual time passing.
  absl::StatusCode Outcome() { return Get("/").status().code(); }
};

TEST_F(HostileServerTest, AnEndlessChunkExtensionEndsTheReply) {
  ServeAlways("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + std::string(kMany, 'x'));
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, AnEndlessTrailerEndsTheReply) {
  ServeAlways("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " +
              std::string(kMany, 'x'));
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, ManySmallTrailersEndTheReply) {
  std::string trailers;
  while (trailers.size() < kMany) trailers += "X: y\r\n";
  ServeAlways("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers);
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, AnEndlessStatusLineEndsTheReply) {
  ServeAlways("HTTP/1.1 200 " + std::string(kMany, 'x'));
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, ManySmallHeadersEndTheReply) {
  std::string headers = "HTTP/1.1 200 OK\r\n";
  while (headers.size() < kMany) headers += "X: y\r\n";
  ServeAlways(headers);
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, AStormOfInterimAnswersEndsTheReply) {
  std::string storm;
  while (storm.size() < kMany) storm += "HTTP/1.1 100 Continue\r\n\r\n";
  ServeAlways(storm);
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileServerTest, LengthsThatContradictAreRefused) {
  std::string answer;
  Serve([&](const ReceivedRequest&) { return Answer{.pieces = {answer}}; });
  for (const char* lengths :
       {"Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"}) {
    answer = std::string("HTTP/1.1 200 OK\r\n") + lengths + "\r\nabc";
    EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable) << lengths;
    EXPECT_EQ(client().idle(), 0u) << lengths;
  }
}

TEST_F(HostileServerTest, WhatFollowsAReplyIsNobodysReply) {
  Serve([](const ReceivedRequest& request) {
    if (request.target == "/honest") return Ok("honest");
    return Answer{.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                             "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"}};
  });
  EXPECT_EQ(Get("/")->body, "a");
  EXPECT_EQ(Get("/honest")->body, "honest");
  EXPECT_EQ(server_->connections(), 2);
}

// Bytes that keep coming prolong neither the header nor, with a deadline, the whole.
TEST_F(HostileServerTest, ADrippedHeaderHasItsTimeAsAWhole) {
  Answer drip;
  for (const char c : std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) {
    drip.pieces.emplace_back(1, c);
  }
  Serve([&](const ReceivedRequest&) { return drip; });
  auto call = Begin({});
  RunUntil([&] { return server_->requests().size() == 1; });
  const BootTime began = clock_.Boot();
  while (!call->reply.has_value()) {
    server_->Continue();
    clock_.Advance(seconds(1));
    ASSERT_LE(clock_.Boot() - began, options_.timeouts.headers + seconds(1));
  }
  EXPECT_EQ(call->reply->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(HostileServerTest, ADrippedBodyEndsAtTheDeadline) {
  Answer drip = {.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"}};
  for (int i = 0; i < 1000; ++i) drip.pieces.emplace_back("x");
  Serve([&](const ReceivedRequest&) { return drip; });
  Request request;
  request.deadline = clock_.Boot() + seconds(100);
  auto call = Begin(std::move(request));
  RunUntil([&] { return server_->requests().size() == 1; });
  const BootTime began = clock_.Boot();
  while (!call->reply.has_value()) {
    server_->Continue();
    clock_.Advance(seconds(1));
    ASSERT_LE(clock_.Boot() - began, seconds(101));
  }
  EXPECT_EQ(call->reply->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(HostileServerTest, ARingOfRedirectsEnds) {
  Serve([](const ReceivedRequest& request) {
    const std::string next = request.target == "/a" ? "/b" : "/a";
    return Answer{
        .pieces = {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + next + "\r\n\r\n"}};
  });
  EXPECT_EQ(Get("/a").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_->requests().size(), 6u);
}

TEST_F(HostileServerTest, AProxyThatSpeaksBeforeTheTunnelIsRefused) {
  Serve([](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 200 Established\r\n\r\ninjected"}};
  });
  options_.base = *ParseBaseUrl("https://localhost:9");
  options_.proxy = Proxy{ParseBaseUrl(server_->url())->origin};
  const auto reply = Get("/");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << reply.status();
  EXPECT_TRUE(IsCertainlyNotSent(reply.status()));
}

TEST_F(HostileServerTest, AProxysHeaderIsBounded) {
  ServeAlways("HTTP/1.1 200 " + std::string(kMany, 'x'));
  options_.base = *ParseBaseUrl("https://localhost:9");
  options_.proxy = Proxy{ParseBaseUrl(server_->url())->origin};
  EXPECT_EQ(Outcome(), absl::StatusCode::kUnavailable);
}

// Certificates signed by whom the client trusts, but for somebody else.
TEST_F(HostileServerTest, ATrustedCertificateOfAnotherNameIsRefused) {
  std::string folder = ::testing::TempDir() + "/tls_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  for (const char* names : {"DNS:other.example", "DNS:localhost.evil.example", "DNS:*.localhost",
                            "IP:127.0.0.1", "DNS:xlocalhost", "email:localhost"}) {
    const TestCertificate certificate = MakeTestCertificate(names);
    std::ofstream(folder + "/ca.pem") << certificate.certificate;
    client_.reset();
    options_.base = {};
    options_.ca_file = folder + "/ca.pem";
    Serve([](const ReceivedRequest&) { return Ok("secret"); },
          {.certificate = certificate.certificate, .key = certificate.key, .tls_from_start = true});
    const auto reply = Get("/");
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied)
        << names << reply.status();
    EXPECT_TRUE(server_->requests().empty()) << names;
  }
  std::filesystem::remove_all(folder);
}

TEST_F(HostileServerTest, AnExpiredCertificateIsRefused) {
  std::string folder = ::testing::TempDir() + "/tls_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const TestCertificate certificate = MakeTestCertificate("DNS:localhost", /*expired=*/true);
  std::ofstream(folder + "/ca.pem") << certificate.certificate;
  options_.ca_file = folder + "/ca.pem";
  Serve([](const ReceivedRequest&) { return Ok("secret"); },
        {.certificate = certificate.certificate, .key = certificate.key, .tls_from_start = true});
  const auto reply = Get("/");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied) << reply.status();
  EXPECT_TRUE(server_->requests().empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace boxkeeper::base::http
