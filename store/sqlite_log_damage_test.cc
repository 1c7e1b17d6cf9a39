// Damage of a store as a running daemon leaves it: a database with a WAL behind it. Whatever is cut
// off or flipped, it opens as an exact prefix of the committed batches, and says so where it gives
// any up, or is refused with the place and the repair command. Never a mix.
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "store/sqlite_log.h"
#include "store/testing/sqlite_log_fixture.h"

namespace boxkeeper::store {
namespace {

constexpr char kWal[] = "/state.db-wal";
constexpr size_t kPage = 4096;
constexpr size_t kWalHeader = 32;
constexpr size_t kFrame = 24 + kPage;

struct SqliteLogDamageTest : testing::Test {
  // 60 batches, half of them moved into the database, with deletions on both sides.
  SqliteLogDamageTest() {
    base::FaultyFileSystem fs;
    SqliteLogOptions options = Options();
    options.wal_reserve_bytes = 64 << 10;  // zeros behind the frames, as in life
    auto log = *SqliteLog::Open(fs, options);
    Content content;
    states.push_back(content);
    for (Position i = 1; i <= 60; ++i) {
      Batch batch = Puts({{i, std::string(200 + 37 * (i % 9), static_cast<char>('a' + i % 26))}});
      content[i] = batch.puts[0].record;
      if (i % 5 == 0) {
        batch.deletes.push_back(i - 3);
        content.erase(i - 3);
      }
      EXPECT_TRUE(log->Commit(batch).ok());
      states.push_back(content);
      if (i == 30) EXPECT_TRUE(log->Checkpoint().ok());
    }
    fs.KillProcess();
    db = *fs.Content(kDb);
    wal = *fs.Content(kWal);
    EXPECT_GT(db.size(), 4 * kPage);
    EXPECT_GT(wal.size(), 30 * kFrame);
  }

  struct Seen {
    bool refused = false;
    size_t prefix = 0;  // of the batches, if it was opened
  };

  // Opens the store with these files and checks the promise. Only a cut where a transaction ends
  // may pass without a word.
  Seen Judge(const std::string& database, const std::string& log_file, bool silent) {
    base::FaultyFileSystem fs;
    fs.SetContent(kDb, database);
    fs.SetContent(kWal, log_file);
    std::string said;
    base::ScopedLogCapture capture(base::LogLevel::kInfo, base::LogFormat::kText,
                                   [&](base::LogLevel, std::string_view line) { said += line; });
    Seen seen;
    auto log = SqliteLog::Open(fs, Options());
    absl::StatusOr<Content> content =
        log.ok() ? LoadAll(**log) : absl::StatusOr<Content>(log.status());
    if (!content.ok()) {
      seen.refused = true;
      const std::string message(content.status().message());
      EXPECT_TRUE(absl::StrContains(message, "/state.db")) << message;
      // Of a file that does not even name itself as ours nothing can be repaired.
      if (!absl::IsFailedPrecondition(content.status())) {
        EXPECT_EQ(content.status().code(), absl::StatusCode::kDataLoss) << message;
        EXPECT_TRUE(absl::StrContains(message, "truncate -s ") ||
                    absl::StrContains(message, "sqlite3 '"))
            << message;
      }
      log = absl::UnknownError("closed");
      EXPECT_TRUE(*fs.Content(kDb) == database) << "a refused store was changed";
      return seen;
    }
    const auto found = std::find(states.rbegin(), states.rend(), *content);
    EXPECT_NE(found, states.rend()) << "not a prefix of the committed batches";
    seen.prefix = static_cast<size_t>(states.rend() - found) - 1;
    const bool given_up = seen.prefix + 1 < states.size();
    if (given_up && !silent) EXPECT_TRUE(absl::StrContains(said, "torn")) << seen.prefix;
    fs.KillProcess();
    return seen;
  }

  std::vector<Content> states;
  std::string db;
  std::string wal;
};

TEST_F(SqliteLogDamageTest, UndamagedItHasEverything) {
  const Seen seen = Judge(db, wal, true);
  EXPECT_FALSE(seen.refused);
  EXPECT_EQ(seen.prefix, states.size() - 1);
}

TEST_F(SqliteLogDamageTest, TheDatabaseCutAtEveryPage) {
  int refused = 0;
  for (size_t size = 0; size < db.size(); size += kPage) {
    SCOPED_TRACE(size);
    const Seen seen = Judge(db.substr(0, size), wal, false);
    refused += seen.refused;
    // What the WAL holds as well is not missed.
    if (!seen.refused) EXPECT_EQ(seen.prefix, states.size() - 1);
  }
  EXPECT_GT(refused, 0);
}

TEST_F(SqliteLogDamageTest, TheWalCutAtEveryFrameAndWithinIt) {
  size_t before = 0;
  for (size_t end = 0; end <= wal.size(); end += kFrame / 4) {
    for (const size_t size : {end, end + kWalHeader}) {
      SCOPED_TRACE(size);
      const bool at_a_border = size <= kWalHeader || (size - kWalHeader) % kFrame == 0;
      const Seen seen = Judge(db, wal.substr(0, size), at_a_border);
      EXPECT_FALSE(seen.refused) << "a cut looks like a crash";
      EXPECT_GE(seen.prefix, 30u);
      EXPECT_GE(seen.prefix, before);
      if (size == end) before = seen.prefix;
    }
  }
  EXPECT_EQ(before, states.size() - 1);
}

TEST_F(SqliteLogDamageTest, BitsOfTheWalFlippedEverywhere) {
  int refused = 0;
  int prefixes = 0;
  // Every byte of the headers of frames, and every 61st of all.
  std::vector<size_t> places;
  for (size_t at = 0; at < wal.size(); ++at) {
    const bool header = at < kWalHeader || (at - kWalHeader) % kFrame < 24;
    if (header || at % 61 == 0) places.push_back(at);
  }
  for (const size_t at : places) {
    SCOPED_TRACE(at);
    std::string flipped = wal;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    const Seen seen = Judge(db, flipped, false);
    refused += seen.refused;
    prefixes += !seen.refused && seen.prefix + 1 < states.size();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(prefixes, 10);  // of the last transaction
}

TEST_F(SqliteLogDamageTest, BitsOfTheDatabaseFlippedBehindAWal) {
  int refused = 0;
  for (size_t at = 0; at < db.size(); at += 7) {
    SCOPED_TRACE(at);
    std::string flipped = db;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    base::FaultyFileSystem fs;
    const Seen seen = Judge(flipped, wal, false);
    refused += seen.refused;
    if (!seen.refused) EXPECT_EQ(seen.prefix, states.size() - 1);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(refused, 100);
}

TEST_F(SqliteLogDamageTest, TheWalOfAnotherTimeIsNotMixedIn) {
  // The database of the end with the WAL of the middle, and the other way round.
  base::FaultyFileSystem fs;
  fs.SetContent(kDb, db);
  fs.SetContent(kWal, wal);
  {
    auto log = *SqliteLog::Open(fs, Options());
    ASSERT_TRUE(log->Commit(Puts({{61, "later"}})).ok());
    ASSERT_TRUE(log->Checkpoint().ok());
    ASSERT_TRUE(log->Commit(Puts({{62, "latest"}})).ok());
    fs.KillProcess();
  }
  Content later = states.back();
  later[61] = "later";
  states.push_back(later);
  later[62] = "latest";
  states.push_back(later);
  const std::string new_db = *fs.Content(kDb);
  const std::string new_wal = *fs.Content(kWal);
  EXPECT_EQ(Judge(new_db, new_wal, true).prefix, states.size() - 1);
  Judge(new_db, wal, true);
  Judge(db, new_wal, true);
}

}  // namespace
}  // namespace boxkeeper::store
