#include "store/sqlite_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "base/testing/faulty_file_system.h"
#include "store/testing/sqlite_log_fixture.h"
#include "store/wal_scan.h"

namespace boxkeeper::store {
namespace {

using base::FaultyFileSystem;
using base::FileOperation;

struct SqliteLogTest : testing::Test {
  FaultyFileSystem fs;
  std::unique_ptr<SqliteLog> log;

  absl::Status Open(SqliteLogOptions options = Options()) {
    log.reset();
    auto opened = SqliteLog::Open(fs, std::move(options));
    if (!opened.ok()) return opened.status();
    log = *std::move(opened);
    return absl::OkStatus();
  }
};

TEST_F(SqliteLogTest, KeepsRecordsInOrderOverReopening) {
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(log->last_position(), 0);
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}, {2, ""}, {5, std::string("a\0b", 3)}})).ok());
  Batch second = Puts({{6, "six"}});
  second.deletes = {2, 3};  // 3 was never there
  ASSERT_TRUE(log->Commit(second).ok());
  Content expected{{1, "one"}, {5, std::string("a\0b", 3)}, {6, "six"}};
  EXPECT_EQ(*LoadAll(*log), expected);
  EXPECT_EQ(*log->Read(5), std::string("a\0b", 3));
  EXPECT_EQ(log->Read(2).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*LoadAll(*log), expected);
  EXPECT_EQ(log->last_position(), 6);
}

TEST_F(SqliteLogTest, PositionsAreNeverReusedEvenIfDeleted) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log->Commit(Puts({{7, "x"}})).ok());
  Batch drop;
  drop.deletes = {7};
  ASSERT_TRUE(log->Commit(drop).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(log->last_position(), 7);
  EXPECT_EQ(log->Commit(Puts({{7, "y"}})).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(log->Commit(Puts({{9, "y"}, {8, "z"}})).code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(log->Commit(Puts({{8, "y"}})).ok());
}

TEST_F(SqliteLogTest, ACleanCloseLeavesEverythingInTheDatabaseFile) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  EXPECT_GT(log->wal_bytes(), 0u);
  log.reset();
  EXPECT_EQ(*fs.Content("/state.db-wal"), "");
  EXPECT_NE(fs.Content(kDb)->find("one"), std::string::npos);
}

TEST_F(SqliteLogTest, ASecondOpenIsRefused) {
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(SqliteLog::Open(fs, Options()).status().code(), absl::StatusCode::kFailedPrecondition);
  fs.KillProcess();  // kill -9 frees the lock
  EXPECT_TRUE(SqliteLog::Open(fs, Options()).ok());
}

TEST_F(SqliteLogTest, DeletedRecordsAreOverwritten) {
  ASSERT_TRUE(Open().ok());
  std::string canary = "sealed-canary-0123456789";
  ASSERT_TRUE(log->Commit(Puts({{1, canary}, {2, "b"}})).ok());
  ASSERT_TRUE(log->Checkpoint().ok());
  Batch drop;
  drop.deletes = {1};
  ASSERT_TRUE(log->Commit(drop).ok());
  ASSERT_TRUE(log->Checkpoint().ok());
  EXPECT_EQ(fs.Content(kDb)->find(canary), std::string::npos);
}

// --- the WAL's reserve ---

TEST_F(SqliteLogTest, TheWalGrowsByItsReserve) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  const size_t size = fs.Content("/state.db-wal")->size();
  EXPECT_EQ(size, Options().wal_reserve_bytes);
  for (Position i = 2; i <= 20; ++i) ASSERT_TRUE(log->Commit(Puts({{i, "more"}})).ok());
  EXPECT_EQ(fs.Content("/state.db-wal")->size(), size);
  EXPECT_LT(log->wal_bytes(), size);
}

TEST_F(SqliteLogTest, ADiskTooFullForTheReserveStillTakesTransactions) {
  ASSERT_TRUE(Open().ok());
  fs.SetCapacity(fs.used_bytes() + 100'000);
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  EXPECT_LE(fs.Content("/state.db-wal")->size(), 100'000U);
  fs.KillProcess();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(LoadAll(*log)->size(), 1u);
}

// --- a full disk ---

TEST_F(SqliteLogTest, AFullDiskRefusesKeepsEverythingAndRecovers) {
  SqliteLogOptions options = Options();
  options.wal_reserve_bytes = 0;  // else the transaction finds its room there
  ASSERT_TRUE(Open(options).ok());
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  for (uint64_t spare = 0; spare < 40'000; spare += 997) {
    fs.SetCapacity(fs.used_bytes() + spare);
    Batch large = Puts({{log->last_position() + 1, std::string(50'000, 'x')}});
    absl::Status status = log->Commit(large);
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    ASSERT_FALSE(log->HasRoomForNewTasks());
    ASSERT_EQ(log->records(), 1);
    EXPECT_EQ(*log->Read(1), "one");
    EXPECT_FALSE(ScanWal(fs, "/state.db-wal")->torn);
  }
  fs.SetCapacity(std::nullopt);
  ASSERT_TRUE(log->Commit(Puts({{2, std::string(50'000, 'x')}})).ok());
  log->SampleSpace();
  EXPECT_TRUE(log->HasRoomForNewTasks());
  fs.KillProcess();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(LoadAll(*log)->size(), 2u);
}

TEST_F(SqliteLogTest, TheReserveLetsLiveTasksFinishAndIsMadeAgain) {
  SqliteLogOptions options = Options();
  options.ballast_bytes = 1 << 20;
  fs.SetCapacity(4 << 20);
  ASSERT_TRUE(Open(options).ok());
  EXPECT_TRUE(*fs.Exists("/reserve"));
  EXPECT_TRUE(log->HasRoomForNewTasks());
  fs.SetCapacity(fs.used_bytes() + 1000);
  ASSERT_TRUE(log->Commit(Puts({{1, std::string(50'000, 'x')}})).ok());
  EXPECT_FALSE(*fs.Exists("/reserve"));
  EXPECT_FALSE(log->HasRoomForNewTasks());
  log->SampleSpace();
  EXPECT_FALSE(log->HasRoomForNewTasks());
  fs.SetCapacity(std::nullopt);
  log->SampleSpace();
  EXPECT_TRUE(*fs.Exists("/reserve"));
  EXPECT_TRUE(log->HasRoomForNewTasks());
}

// --- a bad disk ---

TEST_F(SqliteLogTest, AFailedSyncEndsAllWriting) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  fs.SetFault([](FileOperation operation, const std::string&) {
    return operation == FileOperation::kSync ? absl::DataLossError("bad disk") : absl::OkStatus();
  });
  EXPECT_EQ(log->Commit(Puts({{2, "two"}})).code(), absl::StatusCode::kDataLoss);
  fs.SetFault(nullptr);
  uint64_t changes = fs.changes();
  EXPECT_EQ(log->Commit(Puts({{2, "two"}})).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(log->Checkpoint().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(log->Read(1).status().code(), absl::StatusCode::kDataLoss);
  log.reset();
  EXPECT_EQ(fs.changes(), changes);  // not even while closing
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(LoadAll(*log)->count(1), 1u);
}

TEST_F(SqliteLogTest, AFailedWriteOrTruncationEndsAllWriting) {
  for (FileOperation bad : {FileOperation::kWrite, FileOperation::kTruncate}) {
    ASSERT_TRUE(Open().ok());
    Position position = log->last_position() + 1;
    ASSERT_TRUE(log->Commit(Puts({{position, "one"}})).ok());
    fs.SetFault([bad](FileOperation operation, const std::string&) {
      return operation == bad ? absl::DataLossError("bad disk") : absl::OkStatus();
    });
    absl::Status status = log->Commit(Puts({{position + 1, "two"}}));
    if (bad == FileOperation::kTruncate) {
      EXPECT_TRUE(status.ok());
      status = log->Checkpoint();
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    fs.SetFault(nullptr);
    EXPECT_EQ(log->Commit(Puts({{position + 2, "x"}})).code(), absl::StatusCode::kDataLoss);
  }
}

// --- damage ---

TEST_F(SqliteLogTest, EveryTruncationOfTheDatabaseIsRefused) {
  ASSERT_TRUE(Open().ok());
  for (int i = 1; i <= 200; ++i) ASSERT_TRUE(log->Commit(Puts({{i, std::string(300, 'x')}})).ok());
  log.reset();
  std::string whole = *fs.Content(kDb);
  ASSERT_GT(whole.size(), 10u * 4096);
  for (size_t size = 0; size < whole.size(); size += 4096) {
    fs.SetContent(kDb, whole.substr(0, size));
    fs.SetContent("/state.db-wal", "");
    absl::Status status = Open();
    if (status.ok()) status = LoadAll(*log).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size << ": " << status;
    EXPECT_NE(status.message().find("sqlite3 '/state.db'"), absl::string_view::npos) << status;
    // Nothing may be written to what is damaged.
    if (log) log->Checkpoint().IgnoreError();
    log.reset();
    EXPECT_EQ(fs.Content(kDb)->size(), size);
  }
}

TEST_F(SqliteLogTest, FlippedBitsInTheDatabaseNeverChangeWhatIsLoaded) {
  ASSERT_TRUE(Open().ok());
  for (int i = 1; i <= 40; ++i) {
    ASSERT_TRUE(log->Commit(Puts({{i, std::string(300, static_cast<char>('a' + i % 26))}})).ok());
  }
  Content expected = *LoadAll(*log);
  log.reset();
  std::string whole = *fs.Content(kDb);
  auto rng = base::MakeSeededRng(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string flipped = whole;
    flipped[rng->Below(whole.size())] ^= static_cast<char>(1 << rng->Below(8));
    fs.SetContent(kDb, flipped);
    fs.SetContent("/state.db-wal", "");
    absl::Status status = Open();
    if (status.ok()) {
      auto content = LoadAll(*log);
      if (content.ok()) {
        ASSERT_EQ(*content, expected);
        fs.KillProcess();
        continue;
      }
      status = content.status();
    }
    ++refused;
    fs.KillProcess();
  }
  // The others hit unused bytes of pages.
  EXPECT_GT(refused, 1000);
}

TEST_F(SqliteLogTest, AMissingDatabaseBesideItsWalIsRefused) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log->Commit(Puts({{1, "one"}})).ok());
  fs.KillProcess();
  ASSERT_TRUE(fs.Remove(kDb).ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

// --- versions ---

TEST_F(SqliteLogTest, ANewerSchemaAndForeignFilesAreRefusedUntouched) {
  ASSERT_TRUE(Open().ok());
  log.reset();
  std::string content = *fs.Content(kDb);
  std::string newer = content;
  newer[63] = 99;  // user_version, big-endian at 60
  fs.SetContent(kDb, newer);
  absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("newer"), absl::string_view::npos) << status;
  EXPECT_EQ(*fs.Content(kDb), newer);
  std::string foreign = content;
  foreign[68] = 1;  // application_id
  fs.SetContent(kDb, foreign);
  EXPECT_EQ(Open().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*fs.Content(kDb), foreign);
}

TEST_F(SqliteLogTest, AnOlderSchemaIsUpgradedAfterABackup) {
  MakeVersion0(fs);
  EXPECT_EQ(Open().code(), absl::StatusCode::kFailedPrecondition);  // no way from 0 by default
  std::string old = *fs.Content(kDb);
  SqliteLogOptions options = OptionsWithUpgrade();
  ASSERT_TRUE(Open(options).ok());
  EXPECT_EQ(*LoadAll(*log), (Content{{1, "one"}, {2, "two"}}));
  EXPECT_EQ(*fs.Content("/state.db.v0.backup"), old);
  ASSERT_TRUE(Open(options).ok());  // and stays upgraded
}

// --- the real file system ---

TEST(SqliteLogRealTest, FilesAreTheOwnersAloneAndLoadingIsQuick) {
  std::string pattern = testing::TempDir() + "/store.XXXXXX";
  std::string dir = mkdtemp(pattern.data());
  auto fs = base::MakeRealFileSystem();
  SqliteLogOptions options{.path = dir + "/state.db", .ballast_bytes = 1 << 20};
  {
    auto log = SqliteLog::Open(*fs, options);
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_EQ(SqliteLog::Open(*fs, options).status().code(), absl::StatusCode::kFailedPrecondition);
    auto start = std::chrono::steady_clock::now();
    Position position = 0;
    for (int i = 0; i < 100; ++i) {
      Batch batch;
      for (int k = 0; k < 1000; ++k) batch.puts.push_back({++position, std::string(300, 'x')});
      ASSERT_TRUE((*log)->Commit(batch).ok());
    }
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("100 commits of 1000 records of 300 bytes: %.3f s\n", took.count());
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
      struct stat info{};
      ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
      EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
    }
  }
  auto start = std::chrono::steady_clock::now();
  auto log = SqliteLog::Open(*fs, options);
  ASSERT_TRUE(log.ok()) << log.status();
  int64_t bytes = 0;
  ASSERT_TRUE((*log)
                  ->Load([&](Position, std::string_view record) {
                    bytes += static_cast<int64_t>(record.size());
                    return absl::OkStatus();
                  })
                  .ok());
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("open and load 100000 records: %.3f s\n", took.count());
  EXPECT_EQ(bytes, 30'000'000);
  log = absl::UnknownError("closed");
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace boxkeeper::store
