// SqliteLog over a disk that keeps, drops and tears.
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/testing/at_length.h"
#include "store/sqlite_log.h"
#include "store/testing/sqlite_log_fixture.h"

namespace boxkeeper::store {
namespace {

using base::FaultyFileSystem;

// A workload of random batches; remembers the content after each acknowledged one.
class Workload {
 public:
  Workload(SqliteLog& log, base::Rng& rng, std::vector<Content>& states)
      : log_(log), rng_(rng), states_(states) {}

  // Runs up to `n` batches; stops at the first that fails. The one in flight is appended to
  // `states` too.
  void Run(int n) {
    for (int i = 0; i < n; ++i) {
      Content next = states_.back();
      Batch batch;
      Position position = log_.last_position();
      for (uint64_t k = 0, count = 1 + rng_.Below(4); k < count; ++k) {
        position += 1 + static_cast<Position>(rng_.Below(3));
        size_t size = rng_.Below(8) == 0 ? rng_.Below(20'000) : rng_.Below(300);
        std::string body(size, static_cast<char>('a' + rng_.Below(26)));
        next[position] = body;
        batch.puts.push_back({position, std::move(body)});
      }
      for (uint64_t k = 0, count = rng_.Below(3); k < count && !next.empty(); ++k) {
        auto victim = std::next(next.begin(), static_cast<long>(rng_.Below(next.size())));
        if (victim->first > log_.last_position()) continue;
        batch.deletes.push_back(victim->first);
        next.erase(victim);
      }
      states_.push_back(next);
      absl::Status committed = log_.Commit(batch);
      if (!committed.ok()) return;
      ++acknowledged;
      if (rng_.Below(10) == 0 && !log_.Checkpoint().ok()) return;
    }
  }

  size_t acknowledged = 0;  // batches since this workload began

 private:
  SqliteLog& log_;
  base::Rng& rng_;
  std::vector<Content>& states_;
};

// After a crash at any operation the content is that of an exact prefix of the batches, with every
// acknowledged one.
void CrashAndCompare(uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  auto rng = base::MakeSeededRng(seed);
  FaultyFileSystem fs;
  std::vector<Content> states{{}};
  for (int life = 0; life < 4; ++life) {
    size_t sure = states.size() - 1;  // the state that must at least be there
    {
      if (rng->Below(8) != 0) fs.StopAfter(rng->Below(120));
      auto log = SqliteLog::Open(fs, Options());
      if (log.ok()) {
        auto content = LoadAll(**log);
        ASSERT_TRUE(content.ok() || fs.stopped()) << content.status();
        if (content.ok()) {
          ASSERT_EQ(*content, states.back());
          Workload workload(**log, *rng, states);
          workload.Run(12);
          sure += workload.acknowledged;
        }
        fs.Crash(*rng);  // with the log still open
      } else {
        ASSERT_TRUE(fs.stopped()) << log.status();
        fs.Crash(*rng);
      }
    }
    auto log = SqliteLog::Open(fs, Options());
    ASSERT_TRUE(log.ok()) << log.status();
    auto content = LoadAll(**log);
    ASSERT_TRUE(content.ok()) << content.status();
    size_t found = sure;
    while (found < states.size() && states[found] != *content) ++found;
    ASSERT_LT(found, states.size()) << "not a prefix that holds every acknowledged batch";
    states.resize(found + 1);
  }
}

TEST(SqliteLogCrashTest, ReopensAsAnExactPrefixWithEveryAcknowledgedBatch) {
  base::ScopedLogCapture quiet(base::LogLevel::kError, base::LogFormat::kText,
                               [](base::LogLevel, std::string_view) {});
  const uint64_t seeds = base::AtLength(600, 150);
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    CrashAndCompare(seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(SqliteLogCrashTest, CrashAtEachOperationOfCreationAndFirstCommit) {
  for (uint64_t stop = 0; stop < 60; ++stop) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      auto rng = base::MakeSeededRng(seed);
      FaultyFileSystem fs;
      fs.StopAfter(stop);
      bool acknowledged = false;
      auto log = SqliteLog::Open(fs, Options());
      if (log.ok()) acknowledged = (*log)->Commit(Puts({{1, "one"}})).ok();
      fs.Crash(*rng);
      log = absl::UnknownError("closed");
      auto again = SqliteLog::Open(fs, Options());
      ASSERT_TRUE(again.ok()) << "stop " << stop << " seed " << seed << ": " << again.status();
      auto content = LoadAll(**again);
      ASSERT_TRUE(content.ok()) << content.status();
      if (acknowledged) ASSERT_EQ(content->size(), 1u);
    }
  }
}

TEST(SqliteLogCrashTest, CrashesOfAFullDiskLoseNothingAcknowledged) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    auto rng = base::MakeSeededRng(seed);
    FaultyFileSystem disk;
    Content expected;
    auto opened = SqliteLog::Open(disk, Options());
    ASSERT_TRUE(opened.ok());
    for (int i = 1; i <= 20; ++i) {
      disk.SetCapacity(rng->Below(2) == 0
                           ? std::optional<uint64_t>(disk.used_bytes() + rng->Below(30'000))
                           : std::nullopt);
      std::string body(rng->Below(20'000), static_cast<char>('a' + i));
      Batch batch = Puts({{(*opened)->last_position() + 1, body}});
      absl::Status status = (*opened)->Commit(batch);
      if (status.ok()) {
        expected[batch.puts[0].position] = body;
      } else {
        ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      }
      if (rng->Below(6) == 0) ASSERT_TRUE((*opened)->Checkpoint().ok());
    }
    disk.Crash(*rng);
    disk.SetCapacity(std::nullopt);
    opened = absl::UnknownError("closed");
    auto again = SqliteLog::Open(disk, Options());
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(*LoadAll(**again), expected);
  }
}

TEST(SqliteLogCrashTest, ACrashDuringAnUpgradeLeavesTheOldOrTheNewSchema) {
  for (uint64_t stop = 0; stop < 40; ++stop) {
    SCOPED_TRACE(stop);
    FaultyFileSystem disk;
    MakeVersion0(disk);
    auto rng = base::MakeSeededRng(stop);
    disk.StopAfter(stop);
    auto first = SqliteLog::Open(disk, OptionsWithUpgrade());
    disk.Crash(*rng);
    first = absl::UnknownError("closed");
    auto second = SqliteLog::Open(disk, OptionsWithUpgrade());
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_EQ(LoadAll(**second)->size(), 2u);
  }
}

}  // namespace
}  // namespace boxkeeper::store
