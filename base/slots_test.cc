#include "base/slots.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <vector>

#include "base/task_group.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::base {
namespace {

using std::chrono::seconds;

class SlotsTest : public ::testing::Test {
 protected:
  // Acquires within 10 s, notes the outcome, and keeps the place until `held_[id]` is reset.
  void Enter(int id) {
    held_.resize(std::max<size_t>(held_.size(), static_cast<size_t>(id) + 1));
    group_.Spawn("enter", [this, id]() -> boost::asio::awaitable<void> {
      auto slot = co_await slots_->Acquire(clock_.Boot() + seconds(10));
      if (slot.ok()) {
        entered_.push_back(id);
        held_[static_cast<size_t>(id)] = *std::move(slot);
      } else {
        refused_.emplace_back(id, slot.status().code());
      }
    });
    clock_.RunUntilIdle();
  }
  void Leave(int id) {
    held_[static_cast<size_t>(id)] = {};
    clock_.RunUntilIdle();
  }

  boost::asio::io_context loop_;
  FakeClock clock_{loop_};
  std::optional<Slots> slots_{std::in_place, clock_, 2, 3};
  std::vector<Slots::Slot> held_;
  std::vector<int> entered_;
  std::vector<std::pair<int, absl::StatusCode>> refused_;
  TaskGroup group_{clock_, loop_.get_executor()};
};

TEST_F(SlotsTest, LetsInInTheOrderTheyCame) {
  for (int id = 0; id < 5; ++id) Enter(id);
  EXPECT_EQ(entered_, (std::vector<int>{0, 1}));
  Leave(1);
  Leave(0);
  EXPECT_EQ(entered_, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(slots_->used(), 2u);
  EXPECT_EQ(slots_->waiting(), 1u);
}

TEST_F(SlotsTest, RefusesWhenTooManyWait) {
  for (int id = 0; id < 6; ++id) Enter(id);
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_EQ(refused_[0], (std::pair{5, absl::StatusCode::kResourceExhausted}));
}

TEST_F(SlotsTest, WhoWaitsTooLongLeavesTheQueue) {
  for (int id = 0; id < 3; ++id) Enter(id);
  clock_.Advance(seconds(10));
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_EQ(refused_[0], (std::pair{2, absl::StatusCode::kDeadlineExceeded}));
  Leave(0);
  EXPECT_EQ(slots_->used(), 1u);
  EXPECT_EQ(slots_->waiting(), 0u);
}

TEST_F(SlotsTest, ACancelledWaiterLeavesTheQueue) {
  for (int id = 0; id < 3; ++id) Enter(id);
  boost::asio::post(loop_, [this] { group_.Cancel(); });
  clock_.RunUntilIdle();
  EXPECT_EQ(slots_->waiting(), 0u);
  EXPECT_EQ(slots_->used(), 2u);
}

TEST_F(SlotsTest, AWaiterCancelledWhileItIsLetInLosesNoPlace) {
  for (int id = 0; id < 3; ++id) Enter(id);
  boost::asio::post(loop_, [this] {
    held_[0] = {};  // grants the place to 2, which is cancelled before it runs
    group_.Cancel();
  });
  clock_.RunUntilIdle();
  EXPECT_EQ(group_.size(), 0u);
  EXPECT_EQ(slots_->waiting(), 0u);
  // Whether or not it still entered, no place is lost.
  EXPECT_EQ(slots_->used(), entered_.size() - 1);
}

TEST_F(SlotsTest, AHigherLimitLetsMoreInAtOnce) {
  for (int id = 0; id < 4; ++id) Enter(id);
  slots_->SetLimit(4);
  clock_.RunUntilIdle();
  EXPECT_EQ(entered_.size(), 4u);
  slots_->SetLimit(1);
  for (int id = 0; id < 3; ++id) Leave(id);
  Enter(4);
  EXPECT_EQ(slots_->used(), 1u);
}

TEST_F(SlotsTest, GoesBeforeItsWaiters) {
  for (int id = 0; id < 3; ++id) Enter(id);
  slots_.reset();
  clock_.RunUntilIdle();
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_EQ(refused_[0].second, absl::StatusCode::kCancelled);
  Leave(0);
}

}  // namespace
}  // namespace boxkeeper::base
