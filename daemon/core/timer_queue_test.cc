#include "daemon/core/timer_queue.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <string>
#include <vector>

#include "base/testing/fake_clock.h"

namespace boxkeeper::daemon {
namespace {

using std::chrono::milliseconds;

class TimerQueueTest : public ::testing::Test {
 protected:
  base::BootTime In(int64_t ms) const { return clock_.Boot() + milliseconds(ms); }

  boost::asio::io_context io_;
  base::FakeClock clock_{io_};
  std::vector<int64_t> fired_;
  TimerQueue timers_{
      io_.get_executor(), clock_,
      [this](int64_t subject, TimerKind, base::BootTime) { fired_.push_back(subject); }};
};

TEST_F(TimerQueueTest, FiresInOrderOfTime) {
  timers_.Set(1, TimerKind::kLease, In(300));
  timers_.Set(2, TimerKind::kLease, In(100));
  timers_.Set(3, TimerKind::kLease, In(200));
  clock_.Advance(milliseconds(250));
  EXPECT_EQ(fired_, (std::vector<int64_t>{2, 3}));
  clock_.Advance(milliseconds(100));
  EXPECT_EQ(fired_, (std::vector<int64_t>{2, 3, 1}));
  EXPECT_EQ(timers_.size(), 0u);
}

TEST_F(TimerQueueTest, ASecondSetReplacesTheFirst) {
  timers_.Set(1, TimerKind::kLease, In(100));
  timers_.Set(1, TimerKind::kLease, In(500));
  clock_.Advance(milliseconds(400));
  EXPECT_TRUE(fired_.empty());
  clock_.Advance(milliseconds(200));
  EXPECT_EQ(fired_.size(), 1u);
}

TEST_F(TimerQueueTest, KindsOfOneSubjectAreApart) {
  timers_.Set(1, TimerKind::kLease, In(100));
  timers_.Set(1, TimerKind::kBackoff, In(100));
  timers_.Clear(1, TimerKind::kLease);
  clock_.Advance(milliseconds(200));
  EXPECT_EQ(fired_.size(), 1u);
}

TEST_F(TimerQueueTest, ATimePassedFiresSoonAndNotWithinSet) {
  timers_.Set(1, TimerKind::kLease, In(-100));
  EXPECT_TRUE(fired_.empty());
  clock_.Advance(milliseconds(0));
  EXPECT_EQ(fired_.size(), 1u);
}

TEST_F(TimerQueueTest, ManyAtOnceLetOthersInBetween) {
  for (int i = 0; i < 2'000; ++i) timers_.Set(i, TimerKind::kStartDeadline, In(100));
  size_t seen = 0;
  clock_.Advance(milliseconds(99));
  auto alarm = clock_.NewAlarm(io_.get_executor());
  alarm->Set(In(1), [&] { seen = fired_.size(); });
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(fired_.size(), 2'000u);
  EXPECT_GT(seen, 0u);
  EXPECT_LT(seen, 2'000u);
}

TEST_F(TimerQueueTest, NothingFiresAfterStop) {
  timers_.Set(1, TimerKind::kLease, In(100));
  timers_.Stop();
  timers_.Set(2, TimerKind::kLease, In(100));
  clock_.Advance(milliseconds(500));
  EXPECT_TRUE(fired_.empty());
}

}  // namespace
}  // namespace boxkeeper::daemon
