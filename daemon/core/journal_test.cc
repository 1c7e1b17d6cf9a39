#include "daemon/core/journal.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <string>
#include <vector>

#include "base/testing/fake_clock.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// Answers each commit after a second, with what it was told to answer.
class SlowStore : public store::TaskStore {
 public:
  explicit SlowStore(base::Clock& clock) : clock_(clock) {}

  asio::awaitable<absl::Status> Commit(const store::Batch& batch) override {
    ++in_flight;
    EXPECT_EQ(in_flight, 1) << "batches commit in order";
    absl::Status slept = co_await clock_.SleepUntil(clock_.Boot() + std::chrono::seconds(1));
    --in_flight;
    if (!slept.ok()) co_return slept;
    absl::Status answer;
    if (!answers.empty()) {
      answer = answers.front();
      answers.pop_front();
    }
    if (answer.ok()) committed.push_back(batch);
    co_return answer;
  }
  absl::Status Load(
      const std::function<absl::Status(store::Position, std::string_view)>&) override {
    return absl::OkStatus();
  }
  store::Position last_position() const override { return 0; }
  asio::awaitable<absl::StatusOr<std::string>> Read(store::Position) override {
    co_return absl::NotFoundError("test");
  }
  bool HasRoomForNewTasks() const override { return true; }

  std::deque<absl::Status> answers;
  std::vector<store::Batch> committed;
  int in_flight = 0;

 private:
  base::Clock& clock_;
};

class JournalTest : public ::testing::Test {
 protected:
  store::Position Append() {
    store::v1::Record record;
    record.mutable_drain()->set_on(true);
    return journal_.Append(record);
  }
  std::function<void()> Say(const std::string& text) {
    return [this, text] { said_.push_back(text); };
  }

  asio::io_context io_;
  base::FakeClock clock_{io_};
  SlowStore store_{clock_};
  absl::Status fatal_;
  std::vector<std::string> said_;
  Journal journal_{io_.get_executor(), clock_, store_,
                   [this](absl::Status status) { fatal_ = std::move(status); }};
};

TEST_F(JournalTest, AnOutputWaitsForTheSync) {
  EXPECT_EQ(Append(), 1);
  journal_.WhenSynced(Say("a"));
  clock_.Advance(milliseconds(900));
  EXPECT_TRUE(said_.empty());
  EXPECT_EQ(journal_.synced(), 0);
  EXPECT_FALSE(journal_.idle());
  clock_.Advance(milliseconds(200));
  EXPECT_EQ(said_, std::vector<std::string>{"a"});
  EXPECT_EQ(journal_.synced(), 1);
  EXPECT_TRUE(journal_.idle());
}

TEST_F(JournalTest, WhatComesDuringACommitIsTheNextBatch) {
  Append();
  journal_.WhenSynced(Say("first"));
  clock_.Advance(milliseconds(500));
  Append();
  Append();
  journal_.WhenSynced(Say("second"));
  clock_.Advance(milliseconds(600));
  EXPECT_EQ(said_, std::vector<std::string>{"first"});
  clock_.Advance(milliseconds(1'000));
  EXPECT_EQ(said_, (std::vector<std::string>{"first", "second"}));
  ASSERT_EQ(store_.committed.size(), 2u);
  EXPECT_EQ(store_.committed[1].puts.size(), 2u);
}

TEST_F(JournalTest, AnOutputWithoutARecordOfItsOwnWaitsForWhatWasBefore) {
  Append();
  clock_.Advance(milliseconds(500));
  journal_.WhenSynced(Say("told of the batch in flight"));
  clock_.Advance(milliseconds(100));
  EXPECT_TRUE(said_.empty());
  clock_.Advance(milliseconds(500));
  EXPECT_EQ(said_.size(), 1u);
  EXPECT_EQ(store_.committed.size(), 1u);
}

TEST_F(JournalTest, OutputsAreNeverRunWithinTheCall) {
  journal_.WhenSynced(Say("a"));
  EXPECT_TRUE(said_.empty());
  clock_.RunUntilIdle();
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(JournalTest, AFullDiskIsWaitedFor) {
  store_.answers = {absl::ResourceExhaustedError("full"), absl::ResourceExhaustedError("full")};
  Append();
  journal_.WhenSynced(Say("a"));
  clock_.Advance(milliseconds(1'100));
  EXPECT_TRUE(journal_.out_of_space());
  EXPECT_TRUE(said_.empty());
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_FALSE(journal_.out_of_space());
  EXPECT_EQ(said_.size(), 1u);
  EXPECT_EQ(journal_.stats().retries_no_space, 2);
}

TEST_F(JournalTest, AfterAFailedCommitNothingIsWrittenOrAnswered) {
  store_.answers = {absl::InternalError("fsync failed")};
  Append();
  journal_.WhenSynced(Say("a"));
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(fatal_.code(), absl::StatusCode::kInternal);
  Append();
  journal_.WhenSynced(Say("b"));
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_TRUE(said_.empty());
  EXPECT_TRUE(store_.committed.empty());
}

TEST_F(JournalTest, PositionsGoOnAboveTheStores) {
  journal_.StartAfter(41);
  EXPECT_EQ(journal_.synced(), 41);
  EXPECT_EQ(Append(), 42);
}

TEST_F(JournalTest, SyncedCompletesAtOnceWhenNothingIsOpen) {
  bool done = false;
  asio::co_spawn(io_, journal_.Synced(), [&done](std::exception_ptr) { done = true; });
  clock_.RunUntilIdle();
  EXPECT_TRUE(done);
  done = false;
  Append();
  asio::co_spawn(io_, journal_.Synced(), [&done](std::exception_ptr) { done = true; });
  clock_.RunUntilIdle();
  EXPECT_FALSE(done);
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace boxkeeper::daemon
