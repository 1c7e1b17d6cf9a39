#include "providers/runtime/http_errors.h"

#include <gtest/gtest.h>

namespace boxkeeper::providers {
namespace {

using std::chrono::seconds;

TEST(HttpErrorsTest, EveryStatusHasOneMeaning) {
  const struct {
    std::vector<int> statuses;
    pb::ErrorClass error_class;
    bool proved;
  } kRows[] = {
      {{400, 405, 406, 409, 411, 413, 414, 415, 418, 422, 431, 451}, pb::INVALID, true},
      {{401, 403, 407}, pb::AUTH, true},
      {{402}, pb::QUOTA, true},
      {{404, 410}, pb::NOT_FOUND, true},
      {{423, 425}, pb::TRANSIENT, true},
      {{429}, pb::RATE, true},
      {{408, 499, 500, 502, 503, 504, 520, 529}, pb::TRANSIENT, false},
      {{507}, pb::CAPACITY, false},
      {{100, 200, 204, 302, 304, 501, 505, 600, 0}, pb::PROTOCOL, false},
  };
  for (const auto& row : kRows) {
    for (const int status : row.statuses) {
      SCOPED_TRACE(status);
      EXPECT_EQ(MeaningOfHttpStatus(status).error_class, row.error_class);
      EXPECT_EQ(MeaningOfHttpStatus(status).proves_no_effect, row.proved);
    }
  }
}

TEST(HttpErrorsTest, RetryAfterIsSecondsOrADate) {
  absl::Time now;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, "2026-11-21T08:00:00Z", &now, &error));
  EXPECT_EQ(ParseRetryAfter("7", now), seconds(7));
  EXPECT_EQ(ParseRetryAfter("0", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("Sat, 21 Nov 2026 08:00:30 GMT", now), seconds(30));
  EXPECT_EQ(ParseRetryAfter("Sat, 21 Nov 2026 07:00:30 GMT", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("999999999999", now), std::chrono::hours(24));
  for (const char* none : {"", "-1", "soon", "1.5", "99999999999999999999999"}) {
    EXPECT_EQ(ParseRetryAfter(none, now), std::nullopt) << none;
  }
}

TEST(HttpErrorsTest, ErrorCarriesTheProvidersWordsAndItsWish) {
  const pb::ProviderError error =
      ErrorOfHttp(429, {{"retry-after", "3"}}, "slow down", absl::Now());
  EXPECT_EQ(error.error_class(), pb::RATE);
  EXPECT_EQ(error.message(), "HTTP 429: slow down");
  EXPECT_EQ(error.retry_after().seconds(), 3);
  EXPECT_FALSE(ErrorOfHttp(429, {}, "", absl::Now()).has_retry_after());
}

TEST(HttpErrorsTest, OnlyWhatDidNotLeaveIsProvedOfTheTransport) {
  const auto of = [](const absl::Status& status) { return ErrorOf(ErrorOfTransport(status)); };
  const absl::Status refused = absl::UnavailableError("connect: refused");
  EXPECT_EQ(of(refused).error_class(), pb::TRANSIENT);
  EXPECT_FALSE(of(refused).proves_no_effect());
  EXPECT_TRUE(of(base::http::MarkNotSent(refused)).proves_no_effect());
  EXPECT_EQ(of(absl::DeadlineExceededError("headers")).error_class(), pb::TRANSIENT);
  EXPECT_EQ(of(absl::ResourceExhaustedError("longer than")).error_class(), pb::PROTOCOL);
  // A certificate that is not accepted, a full queue: nothing left.
  EXPECT_EQ(of(base::http::MarkNotSent(absl::PermissionDeniedError("certificate"))).error_class(),
            pb::TRANSIENT);
  EXPECT_EQ(of(base::http::MarkNotSent(absl::ResourceExhaustedError("waiting"))).error_class(),
            pb::TRANSIENT);
}

}  // namespace
}  // namespace boxkeeper::providers
