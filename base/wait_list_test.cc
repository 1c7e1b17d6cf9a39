#include "base/wait_list.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <vector>

#include "base/testing/fake_clock.h"

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

struct WaitListTest : testing::Test {
  asio::io_context context;
  FakeClock clock{context};
  std::optional<WaitList> list{std::in_place, clock};
  std::vector<absl::StatusCode> ends;

  void SpawnWaiter(BootTime deadline, asio::cancellation_signal& signal) {
    auto wait = [this, deadline]() -> asio::awaitable<void> {
      absl::Status status = co_await list->Wait(deadline);
      ends.push_back(status.code());
    };
    asio::co_spawn(context, wait, asio::bind_cancellation_slot(signal.slot(), asio::detached));
    clock.RunUntilIdle();
  }
};

TEST_F(WaitListTest, NotifyEndsAllWaitersButNotInside) {
  asio::cancellation_signal a, b;
  SpawnWaiter(clock.Boot() + seconds(5), a);
  SpawnWaiter(BootTime::max(), b);
  list->NotifyAll();
  EXPECT_TRUE(ends.empty());
  clock.RunUntilIdle();
  EXPECT_EQ(ends, (std::vector{absl::StatusCode::kOk, absl::StatusCode::kOk}));
  EXPECT_EQ(clock.NextAlarm(), std::nullopt);
}

TEST_F(WaitListTest, DeadlineAndCancellationEndOneWaiter) {
  asio::cancellation_signal a, b;
  SpawnWaiter(clock.Boot() + seconds(5), a);
  SpawnWaiter(BootTime::max(), b);
  clock.Advance(seconds(5));
  b.emit(asio::cancellation_type::terminal);
  clock.RunUntilIdle();
  EXPECT_EQ(ends, (std::vector{absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kCancelled}));
}

TEST_F(WaitListTest, TheListMayGoBeforeItsWaiters) {
  asio::cancellation_signal a;
  SpawnWaiter(clock.Boot() + seconds(5), a);
  list.reset();
  clock.Advance(seconds(5));
  EXPECT_EQ(ends, (std::vector{absl::StatusCode::kDeadlineExceeded}));
}

}  // namespace
}  // namespace boxkeeper::base
