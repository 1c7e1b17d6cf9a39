#include "providers/runtime/api_client.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "base/http/testing/fake_http_server.h"
#include "base/real_clock.h"

namespace boxkeeper::providers {
namespace {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;

http::Answer Say(int status, const std::string& type, const std::string& body,
                 const std::string& more = "") {
  return {.pieces = {absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Type: ", type, "\r\n", more,
                                  "Content-Length: ", body.size(), "\r\n\r\n", body)}};
}

class ApiClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    http::ClientOptions options;
    options.base = *http::ParseBaseUrl(server_.url());
    auto client = http::Client::Create({*clock_, context_.get_executor()}, options);
    ASSERT_TRUE(client.ok());
    api_ = std::make_unique<ApiClient>(
        *clock_, *std::move(client), [](int status, const json::value&, pb::ProviderError& error) {
          if (status == 503) error.set_error_class(pb::CAPACITY);
        });
  }

  template <typename T>
  T Await(asio::awaitable<T> call) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(call), [&](std::exception_ptr error, T value) {
      EXPECT_FALSE(error);
      result.emplace(std::move(value));
    });
    context_.restart();
    while (!result.has_value()) context_.run_one();
    return std::move(*result);
  }

  absl::StatusOr<json::value> Call(ApiRequest request = {}) {
    request.deadline = clock_->Boot() + std::chrono::seconds(10);
    return Await(api_->Call(std::move(request)));
  }
  pb::ProviderError ErrorFor(http::Answer answer) {
    answer_ = std::move(answer);
    return ErrorOf(Call().status());
  }

  asio::io_context context_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  http::Answer answer_;
  http::FakeHttpServer server_{context_, [this](const http::ReceivedRequest&) { return answer_; }};
  std::unique_ptr<ApiClient> api_;
};

TEST_F(ApiClientTest, SendsAndReceivesJson) {
  answer_ = Say(201, "application/json; charset=utf-8", R"({"id":"a"})");
  ApiRequest request;
  request.method = "POST";
  request.target = "/v1/x";
  request.body = json::object{{"name", "n"}};
  const auto body = Call(std::move(request));
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(body->at("id").as_string(), "a");
  EXPECT_EQ(server_.requests()[0].body, R"({"name":"n"})");
  EXPECT_NE(server_.requests()[0].head.find("application/json"), std::string::npos);
}

TEST_F(ApiClientTest, AnswerWithoutABodyIsNull) {
  answer_ = {.pieces = {"HTTP/1.1 204 No Content\r\n\r\n"}};
  const auto body = Call();
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_TRUE(body->is_null());
}

TEST_F(ApiClientTest, ErrorIsClassifiedAndKeepsTheProvidersWords) {
  const auto error = ErrorFor(Say(422, "application/json", R"({"error":{"message":"bad name"}})"));
  EXPECT_EQ(error.error_class(), pb::INVALID);
  EXPECT_TRUE(error.proves_no_effect());
  EXPECT_EQ(error.message(), "HTTP 422: bad name");
}

TEST_F(ApiClientTest, BodyMayRefineTheClass) {
  EXPECT_EQ(ErrorFor(Say(503, "application/json", "{}")).error_class(), pb::CAPACITY);
}

TEST_F(ApiClientTest, RetryAfterArrives) {
  const auto error = ErrorFor(Say(429, "text/plain", "no", "Retry-After: 9\r\n"));
  EXPECT_EQ(error.error_class(), pb::RATE);
  EXPECT_EQ(error.retry_after().seconds(), 9);
}

TEST_F(ApiClientTest, ErrorPageOfAProxyIsAnErrorOfItsStatus) {
  const auto error = ErrorFor(Say(502, "text/html", std::string(1'000'000, 'x')));
  EXPECT_EQ(error.error_class(), pb::TRANSIENT);
  EXPECT_EQ(error.message(), "HTTP 502");
}

TEST_F(ApiClientTest, WhatIsNoJsonIsAProtocolErrorWithoutProof) {
  std::string deep(1'000, '[');
  for (const http::Answer& answer :
       {Say(200, "text/html", "<html>"), Say(200, "application/json", "<html>"),
        Say(200, "application/json", R"({"id":)"), Say(200, "application/json", deep),
        Say(200, "application/json", absl::StrCat("[", std::string(10 << 20, ' '), "]")),
        Say(300, "application/json", "{}")}) {
    const auto error = ErrorFor(answer);
    EXPECT_EQ(error.error_class(), pb::PROTOCOL) << error.message();
    EXPECT_FALSE(error.proves_no_effect());
  }
}

TEST_F(ApiClientTest, CutBodyIsTransientWithoutProof) {
  const auto error = ErrorFor(
      {.pieces =
           {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"},
       .close = true});
  EXPECT_EQ(error.error_class(), pb::TRANSIENT);
  EXPECT_FALSE(error.proves_no_effect());
}

TEST_F(ApiClientTest, BytesAreNotLookedAt) {
  answer_ = Say(200, "application/octet-stream", std::string("\0<{", 3), "X-End: true\r\n");
  ApiRequest request;
  request.deadline = clock_->Boot() + std::chrono::seconds(10);
  const auto reply = Await(api_->CallForBytes(std::move(request)));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->body, std::string("\0<{", 3));
  EXPECT_EQ(*reply->headers.Find("x-end"), "true");
}

TEST(BoundedJsonTest, BoundsAreKept) {
  EXPECT_TRUE(ParseBoundedJson("[[1]]", 5, 2).ok());
  EXPECT_FALSE(ParseBoundedJson("[[1]]", 4, 2).ok());
  EXPECT_FALSE(ParseBoundedJson("[[[1]]]", 100, 2).ok());
  EXPECT_FALSE(ParseBoundedJson("", 100).ok());
}

TEST(WordsTest, AreWhereApisPutThem) {
  const auto words = [](const char* text) { return WordsOf(*ParseBoundedJson(text, 1000)); };
  EXPECT_EQ(words(R"({"message":"m"})"), "m");
  EXPECT_EQ(words(R"({"error":"e"})"), "e");
  EXPECT_EQ(words(R"({"error":{"message":"em","code":3}})"), "em");
  EXPECT_EQ(words(R"({"detail":"d"})"), "d");
  EXPECT_EQ(words(R"({"error":3})"), "");
  EXPECT_EQ(words("[1]"), "");
}

}  // namespace
}  // namespace boxkeeper::providers
