#include "providers/runtime/rate_limiter.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>

#include "base/task_group.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::providers {
namespace {

using base::BootTime;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A provider that takes `limit` calls in any second, and callers that always have one more.
class RateLimiterTest : public ::testing::Test {
 protected:
  ~RateLimiterTest() override {
    stop_ = true;
    clock_.Advance(seconds(300));
  }

  void Start(int callers, milliseconds latency, bool says_when) {
    for (int i = 0; i < callers; ++i) {
      group_.Spawn("caller", [this, latency, says_when]() -> boost::asio::awaitable<void> {
        while (!stop_) {
          const absl::Status admitted = co_await limiter_.Admit(BootTime::max());
          if (!admitted.ok() || stop_) co_return;
          const BootTime sent = clock_.Boot();
          const bool taken = Take();
          const absl::Status slept = co_await clock_.SleepUntil(sent + latency);
          if (!slept.ok()) co_return;
          if (taken) {
            limiter_.OnAccepted(sent);
            continue;
          }
          limiter_.OnRefused(sent, says_when ? std::optional(milliseconds(1000)) : std::nullopt);
        }
      });
    }
  }

  bool Take() {
    while (!taken_.empty() && taken_.front() <= clock_.Boot() - seconds(1)) taken_.pop_front();
    ++calls_;
    if (taken_.size() >= limit_) {
      ++refused_;
      return false;
    }
    taken_.push_back(clock_.Boot());
    return true;
  }

  void Count() { calls_ = refused_ = 0; }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  RateLimiter limiter_{clock_};
  size_t limit_ = 20;
  std::deque<BootTime> taken_;
  int calls_ = 0;
  int refused_ = 0;
  bool stop_ = false;
  base::TaskGroup group_{clock_, loop_.get_executor()};
};

TEST_F(RateLimiterTest, NothingIsHeldBackBeforeTheFirstRefusal) {
  limit_ = 1'000'000;
  Start(10, milliseconds(100), false);
  clock_.Advance(seconds(10));
  EXPECT_EQ(limiter_.rate(), 0);
  EXPECT_GE(calls_, 990);
}

// The number of the design: settled within 10 s, then fewer than 2 % refused over 60 s.
TEST_F(RateLimiterTest, SettlesBelowALimit) {
  for (const bool says_when : {false, true}) {
    SCOPED_TRACE(says_when);
    Start(32, milliseconds(100), says_when);
    clock_.Advance(seconds(10));
    Count();
    clock_.Advance(seconds(60));
    EXPECT_LT(refused_, calls_ * 2 / 100);
    EXPECT_GT(calls_, 60 * 20 * 7 / 10) << "and most of it is used; " << limiter_.rate();
  }
}

TEST_F(RateLimiterTest, FindsOutThatMoreIsAllowed) {
  Start(32, milliseconds(100), false);
  clock_.Advance(seconds(10));
  limit_ = 40;
  clock_.Advance(seconds(180));
  EXPECT_GT(limiter_.rate(), 30);
}

// The first burst was refused for another reason than the rate.
TEST_F(RateLimiterTest, IsSoonFarAboveAFirstGuessThatWasTooLow) {
  limit_ = 5;
  Start(32, milliseconds(100), false);
  clock_.Advance(milliseconds(300));
  limit_ = 100;
  EXPECT_LE(limiter_.rate(), RateLimiterOptions().guess_min);
  clock_.Advance(seconds(75));
  EXPECT_GT(limiter_.rate(), 60);
  Count();
  clock_.Advance(seconds(60));
  EXPECT_LT(refused_, calls_ * 2 / 100);
}

TEST_F(RateLimiterTest, ObeysRetryAfter) {
  limiter_.OnAccepted(clock_.Boot());
  limiter_.OnRefused(clock_.Boot(), seconds(30));
  absl::Status admitted = absl::UnknownError("not yet");
  group_.Spawn("one", [&]() -> boost::asio::awaitable<void> {
    admitted = co_await limiter_.Admit(BootTime::max());
  });
  clock_.Advance(seconds(29));
  EXPECT_TRUE(absl::IsUnknown(admitted));
  clock_.Advance(seconds(1));
  EXPECT_TRUE(admitted.ok()) << admitted;
}

TEST_F(RateLimiterTest, SaysAtOnceWhenTheDeadlineIsTooSoon) {
  limiter_.OnRefused(clock_.Boot(), seconds(30));
  absl::Status admitted;
  group_.Spawn("one", [&]() -> boost::asio::awaitable<void> {
    admitted = co_await limiter_.Admit(clock_.Boot() + seconds(29));
  });
  clock_.RunUntilIdle();
  EXPECT_TRUE(absl::IsDeadlineExceeded(admitted)) << admitted;
}

TEST_F(RateLimiterTest, ARefusalOfAQuietTimeSaysLittle) {
  limiter_.OnAccepted(clock_.Boot());
  limiter_.OnRefused(clock_.Boot(), std::nullopt);
  EXPECT_EQ(limiter_.rate(), RateLimiterOptions().guess_min);
  clock_.Advance(seconds(15));
  limiter_.OnRefused(clock_.Boot(), std::nullopt);
  EXPECT_EQ(limiter_.rate(), RateLimiterOptions().guess_min / 2);
}

TEST_F(RateLimiterTest, LearnsALowLimitSoon) {
  limit_ = 1;
  Start(32, milliseconds(100), false);
  clock_.Advance(seconds(10));
  EXPECT_LT(limiter_.rate(), 1.1);
  Count();
  clock_.Advance(seconds(60));
  EXPECT_LE(refused_, 2);
}

TEST_F(RateLimiterTest, ABurstOfRefusalsCountsOnce) {
  for (int i = 0; i < 100; ++i) limiter_.OnAccepted(clock_.Boot());
  const BootTime sent = clock_.Boot();
  clock_.Advance(milliseconds(10));
  for (int i = 0; i < 50; ++i) limiter_.OnRefused(sent, std::nullopt);
  EXPECT_NEAR(limiter_.rate(), 90, 1);
  EXPECT_EQ(limiter_.refusals(), 50u);
}

TEST_F(RateLimiterTest, NeverStopsAltogether) {
  for (int i = 0; i < 100; ++i) {
    limiter_.OnRefused(clock_.Boot(), std::nullopt);
    clock_.Advance(seconds(1));
  }
  EXPECT_GE(limiter_.rate(), RateLimiterOptions().rate_min);
}

}  // namespace
}  // namespace boxkeeper::providers
