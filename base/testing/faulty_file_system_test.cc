#include "base/testing/faulty_file_system.h"

#include <gtest/gtest.h>

#include <set>

namespace boxkeeper::base {
namespace {

constexpr OpenOptions kCreate{.write = true, .create = true};

TEST(FaultyFileSystemTest, SyncedBytesAndNamesSurviveEveryCrash) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    auto rng = MakeSeededRng(seed);
    FaultyFileSystem fs;
    ASSERT_TRUE(WriteFileAtomically(fs, "/f", "content", 0600).ok());
    fs.Crash(*rng);
    EXPECT_EQ(*ReadFile(fs, "/f"), "content");
    EXPECT_FALSE(*fs.Exists("/f.tmp"));
  }
}

TEST(FaultyFileSystemTest, AtomicWriteIsOldOrNewWhereverItStops) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto rng = MakeSeededRng(seed);
    FaultyFileSystem fs;
    ASSERT_TRUE(WriteFileAtomically(fs, "/f", "old", 0600).ok());
    fs.StopAfter(seed % 6);
    absl::Status status = WriteFileAtomically(fs, "/f", "new content", 0600);
    fs.Crash(*rng);
    std::string content = *ReadFile(fs, "/f");
    EXPECT_TRUE(content == "old" || content == "new content") << content;
    if (status.ok()) EXPECT_EQ(content, "new content");
    seen.insert(content);
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST(FaultyFileSystemTest, UnsyncedWritesAreKeptDroppedOrTorn) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    auto rng = MakeSeededRng(seed);
    FaultyFileSystem fs;
    fs.SetContent("/f", "");
    auto file = fs.Open("/f", kCreate);
    ASSERT_TRUE((*file)->Append("abc").ok());
    EXPECT_EQ(*ReadFile(fs, "/f"), "abc");
    fs.Crash(*rng);
    seen.insert(*ReadFile(fs, "/f"));
    EXPECT_EQ((*file)->Append("d").code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "a", "ab", "abc"}));
}

TEST(FaultyFileSystemTest, UnsyncedNamesAreKeptOrDropped) {
  std::set<bool> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    auto rng = MakeSeededRng(seed);
    FaultyFileSystem fs;
    auto file = fs.Open("/f", kCreate);
    ASSERT_TRUE((*file)->Sync().ok());
    fs.Crash(*rng);
    seen.insert(*fs.Exists("/f"));
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST(FaultyFileSystemTest, CapacityStoresWhatFits) {
  FaultyFileSystem fs;
  fs.SetCapacity(5);
  auto file = fs.Open("/f", kCreate);
  EXPECT_TRUE((*file)->Append("abc").ok());
  EXPECT_EQ(*fs.FreeBytes("/"), 2u);
  EXPECT_EQ((*file)->Append("def").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFile(fs, "/f"), "abcde");
  EXPECT_TRUE((*file)->WriteAt(0, "x").ok());  // overwriting needs no space
  ASSERT_TRUE((*file)->Truncate(1).ok());
  EXPECT_TRUE((*file)->Append("yz").ok());
}

TEST(FaultyFileSystemTest, FaultsAreInjectedPerOperation) {
  FaultyFileSystem fs;
  auto file = fs.Open("/f", kCreate);
  fs.SetFault([](FileOperation operation, const std::string&) {
    return operation == FileOperation::kSync ? absl::DataLossError("bad disk") : absl::OkStatus();
  });
  EXPECT_TRUE((*file)->Append("abc").ok());
  EXPECT_EQ((*file)->Sync().code(), absl::StatusCode::kDataLoss);
  fs.SetFault(nullptr);
  EXPECT_TRUE((*file)->Sync().ok());
}

TEST(FaultyFileSystemTest, LocksEndWithTheFileTheProcessOrTheMachine) {
  FaultyFileSystem fs;
  auto rng = MakeSeededRng(1);
  fs.SetContent("/lock", "");
  auto first = fs.Open("/lock", kCreate);
  ASSERT_TRUE((*first)->Lock().ok());
  EXPECT_EQ((*fs.Open("/lock", kCreate))->Lock().code(), absl::StatusCode::kFailedPrecondition);
  fs.KillProcess();
  auto second = fs.Open("/lock", kCreate);
  EXPECT_TRUE((*second)->Lock().ok());
  first->reset();  // The dead process's file must not free the new lock.
  EXPECT_FALSE((*fs.Open("/lock", kCreate))->Lock().ok());
  fs.Crash(*rng);
  auto third = fs.Open("/lock", kCreate);
  EXPECT_TRUE((*third)->Lock().ok());
  third->reset();
  EXPECT_TRUE((*fs.Open("/lock", kCreate))->Lock().ok());
}

TEST(FaultyFileSystemTest, DirectoriesAndLists) {
  FaultyFileSystem fs;
  EXPECT_EQ(fs.Open("/d/f", kCreate).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(fs.MakeDirectories("/d/e", 0700).ok());
  ASSERT_TRUE(fs.Open("/d/f", kCreate).ok());
  EXPECT_EQ(*fs.List("/d"), (std::vector<std::string>{"e", "f"}));
  ASSERT_TRUE(fs.Rename("/d/f", "/d/g").ok());
  ASSERT_TRUE(fs.Remove("/d/g").ok());
  EXPECT_EQ(fs.Remove("/d/g").code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace boxkeeper::base
