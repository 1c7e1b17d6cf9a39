#include "logs/remote/retry.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/testing/fake_clock.h"

namespace boxkeeper::logs::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RetryTest : public ::testing::Test {
 protected:
  // Runs `errors` one after another, then success; the time that took, or nullopt while waiting.
  void Start(std::vector<absl::Status> errors) {
    errors_ = std::move(errors);
    auto attempt = [this]() -> boost::asio::awaitable<absl::Status> {
      const auto number = static_cast<size_t>(tries_++);
      co_return number < errors_.size() ? errors_[number] : absl::OkStatus();
    };
    auto done = [this](std::exception_ptr, absl::Status status) { result_ = status; };
    boost::asio::co_spawn(
        loop_, RunWithRetries<absl::Status>(clock_, *rng_, {}, std::move(attempt)), done);
    clock_.RunUntilIdle();
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  std::vector<absl::Status> errors_;
  int tries_ = 0;
  std::optional<absl::Status> result_;
};

TEST_F(RetryTest, PassingErrorsAreTriedAgainAfterAWait) {
  Start({absl::UnavailableError("a"), absl::DeadlineExceededError("b")});
  EXPECT_EQ(tries_, 1);
  clock_.Advance(seconds(1));
  EXPECT_EQ(tries_, 3);
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->ok());
}

TEST_F(RetryTest, GivesUpAfterFourTries) {
  Start(std::vector<absl::Status>(9, absl::UnavailableError("down")));
  clock_.Advance(seconds(60));
  EXPECT_EQ(tries_, 4);
  EXPECT_EQ(result_, absl::UnavailableError("down"));
}

TEST_F(RetryTest, LastingErrorsAreNotTriedAgain) {
  Start({absl::PermissionDeniedError("no")});
  EXPECT_EQ(tries_, 1);
  EXPECT_EQ(result_, absl::PermissionDeniedError("no"));
}

TEST_F(RetryTest, AMendedErrorIsTriedAtOnceButNotForEver) {
  Start(std::vector<absl::Status>(9, MarkMended(absl::PermissionDeniedError("expired"))));
  EXPECT_EQ(tries_, 4);
  EXPECT_TRUE(result_.has_value());
}

TEST_F(RetryTest, WaitsAsLongAsTheStorageAsks) {
  Start({WithRetryAfter(absl::ResourceExhaustedError("slow down"), seconds(20))});
  clock_.Advance(milliseconds(19'900));
  EXPECT_EQ(tries_, 1);
  clock_.Advance(milliseconds(200));
  EXPECT_EQ(tries_, 2);
}

TEST_F(RetryTest, DoesNotWaitForALongTime) {
  Start({WithRetryAfter(absl::UnavailableError("maintenance"), seconds(600))});
  EXPECT_TRUE(result_.has_value());
  EXPECT_EQ(tries_, 1);
}

}  // namespace
}  // namespace boxkeeper::logs::remote
