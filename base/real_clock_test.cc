#include "base/real_clock.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <vector>

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;
using std::chrono::hours;
using std::chrono::milliseconds;

struct RealClockTest : testing::Test {
  asio::io_context context;
  std::unique_ptr<Clock> clock = MakeRealClock();
};

TEST_F(RealClockTest, AlarmFiresNotBeforeItsTime) {
  auto alarm = clock->NewAlarm(context.get_executor());
  BootTime due = clock->Boot() + milliseconds(5), fired;
  alarm->Set(due, [&] { fired = clock->Boot(); });
  context.run();
  EXPECT_GE(fired, due);
}

TEST_F(RealClockTest, ReplacedAndCancelledAlarmsNeverFire) {
  auto a = clock->NewAlarm(context.get_executor());
  auto b = clock->NewAlarm(context.get_executor());
  std::vector<int> fired;
  a->Set(clock->Boot(), [&] { fired.push_back(1); });
  a->Set(clock->Boot() + milliseconds(1), [&] { fired.push_back(2); });
  b->Set(clock->Boot(), [&] { fired.push_back(3); });
  b->Cancel();
  context.run();
  EXPECT_EQ(fired, std::vector<int>{2});
}

TEST_F(RealClockTest, SleepHonoursItsCancellationSlot) {
  absl::Status status;
  auto sleep = [&]() -> asio::awaitable<void> {
    status = co_await clock->SleepUntil(clock->Boot() + hours(1));
  };
  asio::cancellation_signal signal;
  asio::co_spawn(context, sleep, asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context.poll();
  asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
  context.run();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST_F(RealClockTest, ASleeperIsFreedWithItsContext) {
  auto sleep = [](Clock* c) -> asio::awaitable<void> {
    (co_await c->SleepUntil(c->Boot() + hours(1))).IgnoreError();
  };
  asio::io_context own;
  asio::co_spawn(own, sleep(clock.get()), asio::detached);
  own.poll();
}

TEST_F(RealClockTest, BootIdIsAUuid) { EXPECT_EQ(clock->BootId().size(), 36u); }

}  // namespace
}  // namespace boxkeeper::base
