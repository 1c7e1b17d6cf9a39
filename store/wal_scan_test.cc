#include "store/wal_scan.h"

#include <gtest/gtest.h>

#include "base/testing/faulty_file_system.h"
#include "store/sqlite_log.h"

namespace boxkeeper::store {
namespace {

constexpr char kDb[] = "/state.db";
constexpr char kWal[] = "/state.db-wal";

// A database whose process died after `commits` batches that were never checkpointed.
struct WalScanTest : testing::Test {
  base::FaultyFileSystem fs;
  std::vector<uint64_t> ends;  // of each commit in the WAL

  void Fill(int commits) {
    SqliteLogOptions options{.path = kDb, .ballast_bytes = 0};
    auto log = SqliteLog::Open(fs, options);
    ASSERT_TRUE(log.ok()) << log.status();
    for (int i = 1; i <= commits; ++i) {
      Batch batch;
      // Several pages in each transaction.
      batch.puts.push_back({i, std::string(10'000, static_cast<char>('a' + i))});
      ASSERT_TRUE((*log)->Commit(batch).ok());
      ends.push_back((*log)->wal_bytes());
    }
    fs.KillProcess();
  }
  std::string Wal() { return *fs.Content(kWal); }
  absl::StatusOr<WalScan> Scan() { return ScanWal(fs, kWal); }
};

TEST_F(WalScanTest, AbsentAndEmptyAreFine) {
  EXPECT_FALSE(Scan()->torn);
  fs.SetContent(kWal, "");
  EXPECT_FALSE(Scan()->torn);
  fs.SetContent(kWal, std::string(20, 'x'));  // a header torn before any frame
  EXPECT_TRUE(Scan()->torn);
}

TEST_F(WalScanTest, AcceptsWhatSqliteWrote) {
  Fill(5);
  auto scan = Scan();
  ASSERT_TRUE(scan.ok()) << scan.status();
  EXPECT_EQ(scan->commits, 5u);
  EXPECT_EQ(scan->valid_bytes, ends.back());
  EXPECT_FALSE(scan->torn);
}

TEST_F(WalScanTest, ZerosBehindTheFramesAreRoomAndNoTrace) {
  Fill(3);
  const std::string frames = Wal().substr(0, ends.back());
  for (size_t zeros : {1u, 23u, 4'119u, 100'000u}) {
    fs.SetContent(kWal, frames + std::string(zeros, '\0'));
    auto scan = Scan();
    ASSERT_TRUE(scan.ok()) << scan.status();
    EXPECT_EQ(scan->commits, 3u);
    EXPECT_EQ(scan->valid_bytes, frames.size());
    EXPECT_FALSE(scan->torn);
    EXPECT_TRUE(scan->has_tail());
  }
}

TEST_F(WalScanTest, EveryCutIsAPrefixOfTheCommits) {
  Fill(4);
  std::string whole = Wal().substr(0, ends.back());
  for (size_t size = 0; size < whole.size(); size += 61) {
    fs.SetContent(kWal, whole.substr(0, size));
    auto scan = Scan();
    ASSERT_TRUE(scan.ok()) << size << ": " << scan.status();
    uint64_t commits = 0;
    while (commits < ends.size() && ends[commits] <= size) ++commits;
    EXPECT_EQ(scan->commits, commits) << size;
  }
}

TEST_F(WalScanTest, AnyFlippedBitBeforeTheLastTransactionIsDamage) {
  Fill(4);
  std::string whole = Wal().substr(0, ends.back());
  for (size_t at = 0; at < ends[2]; at += 17) {
    std::string flipped = whole;
    flipped[at] ^= static_cast<char>(1 << (at % 8));
    fs.SetContent(kWal, flipped);
    auto scan = Scan();
    ASSERT_EQ(scan.status().code(), absl::StatusCode::kDataLoss) << "byte " << at;
    EXPECT_NE(scan.status().message().find(kWal), absl::string_view::npos);
    EXPECT_NE(scan.status().message().find("truncate -s"), absl::string_view::npos);
  }
}

TEST_F(WalScanTest, EveryBitOfEveryFrameHeaderIsCovered) {
  Fill(3);
  std::string whole = Wal().substr(0, ends.back());
  const size_t frame = 24 + 4096;
  for (size_t start = 32; start < ends[1]; start += frame) {
    for (size_t bit = 0; bit < 24 * 8; ++bit) {
      std::string flipped = whole;
      flipped[start + bit / 8] ^= static_cast<char>(1 << (bit % 8));
      fs.SetContent(kWal, flipped);
      ASSERT_EQ(Scan().status().code(), absl::StatusCode::kDataLoss) << start << "+" << bit;
    }
  }
}

TEST_F(WalScanTest, DamageInTheLastTransactionReadsAsACrash) {
  Fill(3);
  std::string whole = Wal().substr(0, ends.back());
  int read_as_crash = 0;
  for (size_t at = ends[1]; at < whole.size(); at += 101) {
    std::string flipped = whole;
    flipped[at] ^= 16;
    fs.SetContent(kWal, flipped);
    auto scan = Scan();
    if (!scan.ok()) {
      // A bit that no crash can set, such as a commit mark in the middle.
      ASSERT_EQ(scan.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    ++read_as_crash;
    EXPECT_EQ(scan->commits, 2u);
    EXPECT_TRUE(scan->torn);
  }
  EXPECT_GT(read_as_crash, 50);
}

TEST_F(WalScanTest, TheRepairCommandsCutGivesAnOpenableStore) {
  Fill(4);
  std::string damaged = Wal();
  damaged[ends[1] + 500] ^= 1;
  fs.SetContent(kWal, damaged);
  SqliteLogOptions options{.path = kDb, .ballast_bytes = 0};
  auto refused = SqliteLog::Open(fs, options);
  ASSERT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
  std::string message(refused.status().message());
  size_t at = message.find("truncate -s ");
  ASSERT_NE(at, std::string::npos) << message;
  uint64_t keep = std::stoull(message.substr(at + 12));
  EXPECT_EQ(keep, ends[1]);
  fs.SetContent(kWal, damaged.substr(0, keep));
  auto log = SqliteLog::Open(fs, options);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ((*log)->records(), 2);
}

}  // namespace
}  // namespace boxkeeper::store
