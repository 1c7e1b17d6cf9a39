#include "providers/runtime/circuit_breaker.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/testing/fake_clock.h"

namespace boxkeeper::providers {
namespace {

using std::chrono::seconds;
using State = CircuitBreaker::State;

class CircuitBreakerTest : public ::testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.OnFailure();
  }
  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  static CircuitBreakerOptions Options() {
    CircuitBreakerOptions options;
    options.failures_max = 3;
    options.open = {.initial = seconds(4), .max = seconds(60), .jitter = 0};
    return options;
  }
  CircuitBreaker breaker_{clock_, *rng_, Options()};
};

TEST_F(CircuitBreakerTest, FailuresInARowOpenIt) {
  Fail(2);
  breaker_.OnSuccess();
  Fail(2);
  EXPECT_TRUE(breaker_.MayCall());
  Fail(1);
  EXPECT_EQ(breaker_.state(), State::kOpen);
  EXPECT_FALSE(breaker_.MayCall());
  EXPECT_EQ(breaker_.retry_at(), clock_.Boot() + seconds(4));
}

TEST_F(CircuitBreakerTest, OneCallTriesAndItsSuccessCloses) {
  Fail(3);
  clock_.Advance(seconds(4));
  EXPECT_EQ(breaker_.state(), State::kHalfOpen);
  EXPECT_TRUE(breaker_.MayCall());
  EXPECT_FALSE(breaker_.MayCall());
  breaker_.OnSuccess();
  EXPECT_EQ(breaker_.state(), State::kClosed);
  EXPECT_TRUE(breaker_.MayCall());
}

TEST_F(CircuitBreakerTest, ATrialThatFailsKeepsItOpenForLonger) {
  Fail(3);
  clock_.Advance(seconds(4));
  ASSERT_TRUE(breaker_.MayCall());
  Fail(1);
  clock_.Advance(seconds(7));
  EXPECT_FALSE(breaker_.MayCall());
  clock_.Advance(seconds(1));
  EXPECT_TRUE(breaker_.MayCall());
}

TEST_F(CircuitBreakerTest, LateFailuresDoNotLengthenIt) {
  Fail(10);
  EXPECT_EQ(breaker_.retry_at(), clock_.Boot() + seconds(4));
}

TEST_F(CircuitBreakerTest, AnAbandonedTrialLetsTheNextTry) {
  Fail(3);
  clock_.Advance(seconds(4));
  ASSERT_TRUE(breaker_.MayCall());
  breaker_.OnAbandoned();
  EXPECT_TRUE(breaker_.MayCall());
}

}  // namespace
}  // namespace boxkeeper::providers
