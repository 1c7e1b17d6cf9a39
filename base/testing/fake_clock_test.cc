#include "base/testing/fake_clock.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <vector>

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

struct FakeClockTest : testing::Test {
  asio::io_context context;
  FakeClock clock{context};
  std::vector<std::string> log;

  std::function<void()> Note(std::string text) {
    return [this, text] { log.push_back(text); };
  }
  std::unique_ptr<Alarm> NewAlarm() { return clock.NewAlarm(context.get_executor()); }
};

TEST_F(FakeClockTest, FiresDueAlarmsInOrderOfTimeThenSet) {
  auto a = NewAlarm(), b = NewAlarm(), c = NewAlarm(), d = NewAlarm();
  BootTime start = clock.Boot();
  a->Set(start + seconds(2), Note("a"));
  b->Set(start + seconds(1), Note("b"));
  c->Set(start + seconds(2), Note("c"));
  d->Set(start + seconds(4), Note("d"));
  EXPECT_EQ(clock.NextAlarm(), start + seconds(1));
  clock.Advance(seconds(3));
  EXPECT_EQ(log, (std::vector<std::string>{"b", "a", "c"}));
  EXPECT_EQ(clock.Boot(), start + seconds(3));
  EXPECT_EQ(clock.NextAlarm(), start + seconds(4));
}

TEST_F(FakeClockTest, AlarmsSetWhileFiringFireAtTheirOwnTime) {
  auto first = NewAlarm(), second = NewAlarm();
  BootTime start = clock.Boot();
  BootTime seen;
  first->Set(start + seconds(1),
             [&] { second->Set(clock.Boot() + seconds(1), [&] { seen = clock.Boot(); }); });
  clock.Advance(seconds(10));
  EXPECT_EQ(seen, start + seconds(2));
}

TEST_F(FakeClockTest, ReplacedAndCancelledAlarmsNeverFire) {
  auto a = NewAlarm(), b = NewAlarm();
  a->Set(clock.Boot() + seconds(1), Note("first"));
  a->Set(clock.Boot() + seconds(2), Note("second"));
  b->Set(clock.Boot() + seconds(1), Note("b"));
  b.reset();
  clock.Advance(seconds(5));
  EXPECT_EQ(log, std::vector<std::string>{"second"});
}

TEST_F(FakeClockTest, AnAlarmThatHasPassedFiresSoonButNotInSet) {
  auto a = NewAlarm();
  a->Set(clock.Boot() - seconds(1), Note("a"));
  EXPECT_TRUE(log.empty());
  clock.Advance(seconds(0));
  EXPECT_EQ(log.size(), 1u);
}

TEST_F(FakeClockTest, SleepEndsAtItsTime) {
  absl::Status status = absl::UnknownError("still asleep");
  auto sleep = [&]() -> asio::awaitable<void> {
    status = co_await clock.SleepUntil(clock.Boot() + seconds(5));
  };
  asio::co_spawn(context, sleep, asio::detached);
  clock.Advance(seconds(4));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  clock.Advance(seconds(1));
  EXPECT_TRUE(status.ok());
}

TEST_F(FakeClockTest, SleepHonoursItsCancellationSlot) {
  absl::Status status;
  auto sleep = [&]() -> asio::awaitable<void> {
    status = co_await clock.SleepUntil(clock.Boot() + seconds(5));
  };
  asio::cancellation_signal signal;
  asio::co_spawn(context, sleep, asio::bind_cancellation_slot(signal.slot(), asio::detached));
  clock.RunUntilIdle();
  signal.emit(asio::cancellation_type::terminal);
  clock.RunUntilIdle();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(clock.NextAlarm(), std::nullopt);
}

TEST_F(FakeClockTest, ASleeperIsFreedWithTheClock) {
  // Under ASan: no leak and no use after free, whoever goes first.
  asio::io_context own;
  auto doomed = std::make_unique<FakeClock>(own);
  auto sleep = [](Clock* c) -> asio::awaitable<void> {
    (co_await c->SleepUntil(c->Boot() + seconds(5))).IgnoreError();
  };
  asio::co_spawn(own, sleep(doomed.get()), asio::detached);
  doomed->RunUntilIdle();
  doomed.reset();
}

TEST_F(FakeClockTest, WallJumpsDoNotMoveBootTime) {
  auto a = NewAlarm();
  a->Set(clock.Boot() + seconds(10), Note("a"));
  clock.SetWall(clock.Now() + absl::Hours(24));
  clock.Advance(seconds(1));
  EXPECT_TRUE(log.empty());
}

TEST_F(FakeClockTest, RebootChangesTheBootIdAndRestartsBootTime) {
  auto a = NewAlarm();
  a->Set(clock.Boot() + seconds(1), Note("a"));
  std::string before = clock.BootId();
  absl::Time wall = clock.Now();
  clock.Reboot(absl::Minutes(2));
  EXPECT_NE(clock.BootId(), before);
  EXPECT_EQ(clock.Boot(), BootTime());
  EXPECT_EQ(clock.Now(), wall + absl::Minutes(2));
  clock.Advance(seconds(5));
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace boxkeeper::base
