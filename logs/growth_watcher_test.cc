#include "logs/growth_watcher.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

class GrowthWatcherTest : public testing::Test {
 protected:
  GrowthWatcherTest() { Make(); }
  void Make() {
    watcher_ = std::make_unique<GrowthWatcher>(
        GrowthWatcher::Deps{clock_, files_, context_.get_executor(), context_.get_executor()});
  }
  // Where the wait's result will be. `cancel` serves one wait.
  std::shared_ptr<std::optional<absl::Status>> Wait(
      const std::string& topic, uint64_t known_size,
      boost::asio::cancellation_signal* cancel = nullptr) {
    auto result = std::make_shared<std::optional<absl::Status>>();
    asio::co_spawn(
        context_, watcher_->WaitForGrowth(topic, writer_.spool().stdout_path(), known_size),
        asio::bind_cancellation_slot(cancel ? cancel->slot() : asio::cancellation_slot(),
                                     [result](std::exception_ptr error, absl::Status status) {
                                       *result = error ? absl::CancelledError("thrown") : status;
                                     }));
    clock_.RunUntilIdle();
    return result;
  }

  asio::io_context context_;
  base::FakeClock clock_{context_};
  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
  std::unique_ptr<GrowthWatcher> watcher_;
};

TEST_F(GrowthWatcherTest, NoticesGrowthSoon) {
  auto result = Wait("t", 0);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_FALSE(*result);
  writer_.Write(Stream::kStdout, "x", 1);
  clock_.Advance(GrowthWatcher::kMaxInterval);
  ASSERT_TRUE(*result);
  EXPECT_TRUE((*result)->ok());
}

TEST_F(GrowthWatcherTest, BytesThatAreThereAlreadyAreNoticedAtOnce) {
  writer_.Write(Stream::kStdout, "x", 1);
  auto old = Wait("t", 1);
  auto fresh = Wait("t", 0);
  clock_.Advance(GrowthWatcher::kMinInterval);
  EXPECT_TRUE(*fresh);
  EXPECT_FALSE(*old);
}

TEST_F(GrowthWatcherTest, WakesTheWaitersOfATopic) {
  auto a = Wait("a", 0);
  auto b = Wait("b", 0);
  watcher_->Wake("a");
  clock_.RunUntilIdle();
  ASSERT_TRUE(*a);
  EXPECT_TRUE((*a)->ok());
  EXPECT_FALSE(*b);
}

TEST_F(GrowthWatcherTest, ManyWaitersCostOneLookEach) {
  int opens = 0;
  files_.SetFault([&opens](base::FileOperation operation, const std::string&) {
    opens += operation == base::FileOperation::kOpen;
    return absl::OkStatus();
  });
  std::vector<std::shared_ptr<std::optional<absl::Status>>> waits;
  for (int i = 0; i < 100; ++i) waits.push_back(Wait("t", 0));
  clock_.Advance(std::chrono::seconds(10));
  // 10 s at one look per 200 ms, and the faster ones of the beginning.
  EXPECT_LE(opens, 100 * 60);
  files_.SetFault(nullptr);
  writer_.Write(Stream::kStdout, "x", 1);
  clock_.Advance(GrowthWatcher::kMaxInterval);
  for (const auto& wait : waits) EXPECT_TRUE(*wait);
}

TEST_F(GrowthWatcherTest, StopEndsWaits) {
  auto result = Wait("t", 0);
  watcher_->Stop();
  clock_.RunUntilIdle();
  ASSERT_TRUE(*result);
  EXPECT_TRUE(absl::IsCancelled(**result));
  auto later = Wait("t", 0);
  ASSERT_TRUE(*later);
  EXPECT_TRUE(absl::IsCancelled(**later));
}

TEST_F(GrowthWatcherTest, DestructionEndsWaits) {
  auto result = Wait("t", 0);
  watcher_.reset();
  clock_.RunUntilIdle();
  ASSERT_TRUE(*result);
  EXPECT_TRUE(absl::IsCancelled(**result));
}

TEST_F(GrowthWatcherTest, AWaitCanBeCancelled) {
  asio::cancellation_signal cancel;
  auto result = Wait("t", 0, &cancel);
  cancel.emit(asio::cancellation_type::terminal);
  clock_.RunUntilIdle();
  EXPECT_TRUE(*result);
  writer_.Write(Stream::kStdout, "x", 1);
  clock_.Advance(std::chrono::seconds(1));
}

}  // namespace
}  // namespace boxkeeper::logs
