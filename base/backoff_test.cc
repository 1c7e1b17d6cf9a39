#include "base/backoff.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

using std::chrono::seconds;

TEST(BackoffTest, DoublesUpToTheMaximum) {
  auto rng = MakeSeededRng(1);
  BackoffOptions options{.initial = seconds(1), .max = seconds(5), .jitter = 0};
  Backoff backoff(options, *rng);
  EXPECT_EQ(backoff.Next(), seconds(1));
  EXPECT_EQ(backoff.Next(), seconds(2));
  EXPECT_EQ(backoff.Next(), seconds(4));
  EXPECT_EQ(backoff.Next(), seconds(5));
  EXPECT_EQ(BackoffFor(options, 1'000'000, *rng), seconds(5));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), seconds(1));
  EXPECT_EQ(backoff.failures(), 1);
}

TEST(BackoffTest, JitterStaysWithinItsShare) {
  auto rng = MakeSeededRng(1);
  BackoffOptions options{.initial = seconds(8), .max = seconds(60), .jitter = 0.25};
  for (int i = 0; i < 1000; ++i) {
    auto wait = BackoffFor(options, 0, *rng);
    EXPECT_GE(wait, seconds(6));
    EXPECT_LE(wait, seconds(8));
  }
}

}  // namespace
}  // namespace boxkeeper::base
