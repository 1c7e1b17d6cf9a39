#include "logs/remote/errors.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace boxkeeper::logs::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RemoteErrorsTest, CodesOfStatuses) {
  EXPECT_EQ(CodeOfHttp(301), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfHttp(400), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfHttp(401), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOfHttp(403), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOfHttp(404), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfHttp(409), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfHttp(416), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(CodeOfHttp(429), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOfHttp(500), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfHttp(501), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeOfHttp(503), absl::StatusCode::kUnavailable);
}

TEST(RemoteErrorsTest, MessagesAreOneBoundedLine) {
  const absl::Status status =
      MakeError(absl::StatusCode::kUnavailable, "s3: PUT a",
                {503, "SlowDown", "Please\r\nreduce " + std::string(5000, 'x'), "42"});
  EXPECT_TRUE(absl::StartsWith(status.message(), "s3: PUT a: HTTP 503 SlowDown: Please  reduce x"));
  EXPECT_TRUE(absl::EndsWith(status.message(), "x (request 42)"));
  EXPECT_LT(status.message().size(), 400u);
}

TEST(RemoteErrorsTest, RetryAfterInSecondsMillisecondsAndAsDate) {
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"retry-after", "7"}}), seconds(7));
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"x-ms-retry-after-ms", "70"}}), milliseconds(70));
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"Date", "Sat, 21 Nov 2026 12:00:00 GMT"},
                                             {"Retry-After", "Sat, 21 Nov 2026 12:00:09 GMT"}}),
            seconds(9));
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"Retry-After", "99999999999"}}), seconds(3600));
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"Retry-After", "-1"}}), std::nullopt);
  EXPECT_EQ(RetryAfterOf(base::http::Headers{{"Retry-After", "soon"}}), std::nullopt);
  const absl::Status status = WithRetryAfter(absl::UnavailableError("x"), seconds(7));
  EXPECT_EQ(RetryAfterOf(status), seconds(7));
  EXPECT_EQ(RetryAfterOf(absl::UnavailableError("x")), std::nullopt);
}

}  // namespace
}  // namespace boxkeeper::logs::remote
