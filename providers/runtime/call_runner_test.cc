#include "providers/runtime/call_runner.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>

#include "base/testing/fake_clock.h"

namespace boxkeeper::providers {
namespace {

namespace asio = boost::asio;
using base::BootTime;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr CallPolicy kLook{.call_class = CallClass::kStatus, .repeatable = true};
constexpr CallPolicy kCreate{.call_class = CallClass::kCreate, .breaker = true, .long_try = true};
constexpr CallPolicy kSignal{.call_class = CallClass::kCleanup};

absl::Status Error(pb::ErrorClass error_class, bool proved, int retry_after = 0) {
  pb::ProviderError error = MakeProviderError(error_class, "said no", proved);
  if (retry_after > 0) error.mutable_retry_after()->set_seconds(retry_after);
  return MakeError(error);
}

class CallRunnerTest : public ::testing::Test {
 protected:
  // A call that takes `latency_` and answers what is next in `answers_`; then OK.
  asio::awaitable<absl::StatusOr<int>> Answer(BootTime until) {
    try_deadlines_.push_back(until);
    ++in_flight_;
    most_in_flight_ = std::max(most_in_flight_, in_flight_);
    const absl::Status slept =
        co_await clock_.SleepUntil(std::min(until, clock_.Boot() + latency_));
    --in_flight_;
    if (!slept.ok()) co_return slept;
    if (answers_.empty()) co_return 7;
    const absl::Status answer = answers_.front();
    answers_.pop_front();
    if (answer.ok()) co_return 7;
    co_return answer;
  }

  // Its result comes later.
  std::shared_ptr<std::optional<absl::StatusOr<int>>> Spawn(
      CallPolicy policy, std::chrono::nanoseconds limit = seconds(100)) {
    auto result = std::make_shared<std::optional<absl::StatusOr<int>>>();
    std::function<asio::awaitable<absl::StatusOr<int>>(BootTime)> call = [this](BootTime until) {
      return Answer(until);
    };
    signals_.emplace_back();
    asio::co_spawn(
        context_, runner_.Run<int>(policy, clock_.Boot() + limit, std::move(call)),
        asio::bind_cancellation_slot(signals_.back().slot(),
                                     [result](std::exception_ptr, absl::StatusOr<int> value) {
                                       *result = std::move(value);
                                     }));
    clock_.RunUntilIdle();
    return result;
  }

  absl::StatusOr<int> Run(CallPolicy policy, std::chrono::nanoseconds limit = seconds(100)) {
    auto result = Spawn(policy, limit);
    for (int i = 0; i < 10'000 && !result->has_value(); ++i) clock_.Advance(milliseconds(20));
    EXPECT_TRUE(result->has_value());
    return **result;
  }

  const CallCounters& Counted(CallPolicy policy) { return runner_.counters(policy.call_class); }

  static CallRunnerOptions Options() {
    CallRunnerOptions options;
    options.limits = {.create = 2, .status = 3, .cleanup = 1, .call_timeout = seconds(5)};
    options.breaker.failures_max = 3;
    return options;
  }

  asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(3);
  std::deque<asio::cancellation_signal> signals_;  // one for each call
  std::chrono::nanoseconds latency_ = milliseconds(100);
  std::deque<absl::Status> answers_;
  std::vector<BootTime> try_deadlines_;
  int in_flight_ = 0;
  int most_in_flight_ = 0;
  CallRunner runner_{clock_, *rng_, Options()};
};

TEST_F(CallRunnerTest, SoManyAtATimePerClass) {
  std::vector<std::shared_ptr<std::optional<absl::StatusOr<int>>>> results;
  for (int i = 0; i < 9; ++i) results.push_back(Spawn(kLook));
  EXPECT_EQ(in_flight_, 3);
  EXPECT_EQ(runner_.in_flight(CallClass::kStatus), 3u);
  clock_.Advance(milliseconds(300));
  EXPECT_EQ(most_in_flight_, 3);
  for (const auto& result : results) EXPECT_TRUE(result->has_value());
}

TEST_F(CallRunnerTest, MorePlacesAreUsedAtOnce) {
  for (int i = 0; i < 9; ++i) Spawn(kLook);
  runner_.SetLimits({.create = 1, .status = 9, .cleanup = 1, .call_timeout = seconds(5)});
  clock_.RunUntilIdle();
  EXPECT_EQ(in_flight_, 9);
}

TEST_F(CallRunnerTest, LooksAreRepeatedAndTheirBackOffGrows) {
  answers_ = {Error(pb::TRANSIENT, false), Error(pb::TRANSIENT, false),
              Error(pb::TRANSIENT, false)};
  const BootTime before = clock_.Boot();
  EXPECT_EQ(Run(kLook).value(), 7);
  EXPECT_EQ(Counted(kLook).tries, 4);
  EXPECT_EQ(Counted(kLook).repeats, 3);
  EXPECT_EQ(Counted(kLook).failed, 3);
  // Between half and all of 200 + 400 + 800 ms, and the calls themselves.
  EXPECT_GE(clock_.Boot() - before, milliseconds(700 + 400));
}

TEST_F(CallRunnerTest, NonsenseIsAskedAgainToo) {
  answers_ = {Error(pb::PROTOCOL, false)};
  EXPECT_TRUE(Run(kLook).ok());
  answers_ = {Error(pb::PROTOCOL, false)};
  EXPECT_FALSE(Run(kCreate).ok());
}

TEST_F(CallRunnerTest, SoManyTriesAndNoMore) {
  for (int i = 0; i < 9; ++i) answers_.push_back(Error(pb::TRANSIENT, false));
  EXPECT_EQ(ErrorOf(Run(kLook).status()).error_class(), pb::TRANSIENT);
  EXPECT_EQ(Counted(kLook).tries, 4);
}

TEST_F(CallRunnerTest, ErrorsThatWouldBeTheSameAgainAreNotRepeated) {
  for (const auto error_class : {pb::AUTH, pb::INVALID, pb::NOT_FOUND, pb::QUOTA, pb::CAPACITY}) {
    answers_ = {Error(error_class, true)};
    EXPECT_EQ(ErrorOf(Run(kLook).status()).error_class(), error_class);
  }
  EXPECT_EQ(Counted(kLook).repeats, 0);
  answers_ = {absl::FailedPreconditionError("not certain yet")};
  EXPECT_TRUE(absl::IsFailedPrecondition(Run(kLook).status()));
  EXPECT_EQ(Counted(kLook).repeats, 0);
}

TEST_F(CallRunnerTest, WhatMayHaveHappenedIsNotDoneTwice) {
  answers_ = {Error(pb::TRANSIENT, false)};
  EXPECT_FALSE(ErrorOf(Run(kCreate).status()).proves_no_effect());
  answers_ = {absl::DeadlineExceededError("no answer")};
  EXPECT_FALSE(Run(kSignal).ok());
  EXPECT_EQ(Counted(kCreate).tries, 1);
  EXPECT_EQ(Counted(kSignal).tries, 1);
}

TEST_F(CallRunnerTest, WhatCertainlyDidNotHappenIsTriedAgain) {
  answers_ = {Error(pb::TRANSIENT, true), Error(pb::RATE, true)};
  EXPECT_TRUE(Run(kCreate).ok());
  EXPECT_EQ(Counted(kCreate).tries, 3);
  EXPECT_EQ(Counted(kCreate).refused, 1);
}

TEST_F(CallRunnerTest, AnEarlierTryMayHaveHadItsEffect) {
  answers_ = {Error(pb::TRANSIENT, false), Error(pb::INVALID, true)};
  const pb::ProviderError error = ErrorOf(Run(kLook).status());
  EXPECT_EQ(error.error_class(), pb::INVALID);
  EXPECT_FALSE(error.proves_no_effect());
}

TEST_F(CallRunnerTest, ATryEndsAtTheCallTimeoutAndACreateAtItsDeadline) {
  EXPECT_TRUE(Run(kLook).ok());
  EXPECT_TRUE(Run(kCreate).ok());
  ASSERT_EQ(try_deadlines_.size(), 2u);
  EXPECT_LE(try_deadlines_[0], clock_.Boot() + seconds(5));
  EXPECT_GT(try_deadlines_[1], clock_.Boot() + seconds(90));
}

TEST_F(CallRunnerTest, NoTryBeginsAfterTheDeadline) {
  answers_ = {Error(pb::TRANSIENT, false, 30)};
  EXPECT_FALSE(Run(kLook, seconds(20)).ok());
  EXPECT_EQ(Counted(kLook).tries, 1);
}

TEST_F(CallRunnerTest, RetryAfterIsObeyed) {
  answers_ = {Error(pb::TRANSIENT, false, 30)};
  const BootTime before = clock_.Boot();
  EXPECT_TRUE(Run(kLook).ok());
  EXPECT_GE(clock_.Boot() - before, seconds(30));
}

TEST_F(CallRunnerTest, WaitingInVainForAPlaceProvesThatNothingLeft) {
  latency_ = seconds(60);
  Spawn(kSignal);
  const pb::ProviderError error = ErrorOf(Run(kSignal, seconds(2)).status());
  EXPECT_EQ(error.error_class(), pb::TRANSIENT);
  EXPECT_TRUE(error.proves_no_effect());
  EXPECT_EQ(Counted(kSignal).held_back, 1);
}

TEST_F(CallRunnerTest, WaitingInVainForTheRateIsARateError) {
  answers_ = {Error(pb::RATE, true, 50)};
  EXPECT_EQ(ErrorOf(Run(kLook, seconds(2)).status()).error_class(), pb::RATE);
  const pb::ProviderError error = ErrorOf(Run(kLook, seconds(2)).status());
  EXPECT_EQ(error.error_class(), pb::RATE);
  EXPECT_TRUE(error.proves_no_effect());
  EXPECT_EQ(Counted(kLook).tries, 1);
  EXPECT_EQ(runner_.warnings().size(), 1u);
  EXPECT_TRUE(Run(kSignal).ok()) << "other classes are not slowed down";
}

TEST_F(CallRunnerTest, FailedCreatesOpenTheBreakerForCreatesOnly) {
  for (int i = 0; i < 3; ++i) {
    answers_.push_back(Error(pb::TRANSIENT, false));
    EXPECT_FALSE(Run(kCreate).ok());
  }
  EXPECT_EQ(runner_.breaker(), CircuitBreaker::State::kOpen);
  const pb::ProviderError error = ErrorOf(Run(kCreate).status());
  EXPECT_EQ(error.error_class(), pb::TRANSIENT);
  EXPECT_TRUE(error.proves_no_effect());
  EXPECT_GT(error.retry_after().seconds(), 0);
  EXPECT_EQ(Counted(kCreate).held_back, 1);
  EXPECT_TRUE(Run(kLook).ok());
  EXPECT_EQ(runner_.warnings().size(), 1u);
  clock_.Advance(seconds(60));
  EXPECT_TRUE(Run(kCreate).ok());
  EXPECT_EQ(runner_.breaker(), CircuitBreaker::State::kClosed);
}

TEST_F(CallRunnerTest, RefusalsDoNotOpenTheBreaker) {
  for (int i = 0; i < 9; ++i) {
    answers_.push_back(Error(pb::CAPACITY, true));
    EXPECT_FALSE(Run(kCreate).ok());
  }
  EXPECT_EQ(runner_.breaker(), CircuitBreaker::State::kClosed);
}

TEST_F(CallRunnerTest, CancelledCallIsNotRepeatedAndFreesItsPlace) {
  latency_ = seconds(4);
  auto result = Spawn(kSignal);
  signals_.back().emit(asio::cancellation_type::terminal);
  clock_.RunUntilIdle();
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE(absl::IsCancelled((*result)->status()));
  EXPECT_EQ(runner_.in_flight(CallClass::kCleanup), 0u);
  EXPECT_EQ(Counted(kSignal).tries, 1);
}

}  // namespace
}  // namespace boxkeeper::providers
