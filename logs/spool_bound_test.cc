#include "logs/spool_bound.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/core/spool_format.h"

namespace boxkeeper::logs {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class SpoolBoundTest : public testing::Test {
 protected:
  SpoolBoundTest() {
    std::string name = testing::TempDir() + "/spool_bound_XXXXXX";
    directory_ = mkdtemp(name.data());
    folders_ = std::make_shared<SpoolFolders>(directory_);
    bound_ = std::make_unique<SpoolBound>(folders_);
  }
  ~SpoolBoundTest() override { std::filesystem::remove_all(directory_); }

  // A task's spool of that many bytes, the `age`-th oldest.
  void Spool(const std::string& name, uint64_t bytes, int age) {
    std::filesystem::create_directory(directory_ + "/" + name);
    for (const char* file : {"stdout", "index"}) {
      std::ofstream out(directory_ + "/" + name + "/" + file);
      out << std::string(file[0] == 's' ? bytes : 24, 'x');
    }
    timespec times[2] = {{1'000 - age, 0}, {1'000 - age, 0}};
    utimensat(AT_FDCWD, (directory_ + "/" + name + "/index").c_str(), times, 0);
  }
  bool Exists(const std::string& name) { return std::filesystem::exists(directory_ + "/" + name); }
  bool ToldFull() { return Exists(std::string(base::kSpoolFullName)); }
  SpoolUsage Enforce(uint64_t max_bytes) {
    auto usage = bound_->Enforce(max_bytes);
    EXPECT_TRUE(usage.ok()) << usage.status();
    return *usage;
  }

  std::string directory_;
  std::shared_ptr<SpoolFolders> folders_;
  std::unique_ptr<SpoolBound> bound_;
};

TEST_F(SpoolBoundTest, StoredSpoolsGoOldestFirstAndOnlyAsManyAsNeeded) {
  for (int i = 0; i < 6; ++i) Spool("t" + std::to_string(i), kMiB, 6 - i);
  for (const char* name : {"t1", "t2", "t3", "t5"}) bound_->MarkStored(name);
  EXPECT_EQ(Enforce(7 * kMiB).dropped, 0u);
  const SpoolUsage usage = Enforce(5 * kMiB);
  EXPECT_EQ(usage.dropped, 2u);
  EXPECT_FALSE(usage.full);
  EXPECT_LE(usage.bytes, 5 * kMiB);
  for (const char* name : {"t0", "t3", "t4", "t5"}) EXPECT_TRUE(Exists(name)) << name;
  for (const char* name : {"t1", "t2"}) EXPECT_FALSE(Exists(name)) << name;
}

TEST_F(SpoolBoundTest, AnotherProcessKnowsWhatIsStored) {
  Spool("a", 3 * kMiB, 0);
  bound_->MarkStored("a");
  bound_ = std::make_unique<SpoolBound>(std::make_shared<SpoolFolders>(directory_));
  EXPECT_EQ(Enforce(kMiB).dropped, 1u);
  EXPECT_FALSE(Exists("a"));
}

TEST_F(SpoolBoundTest, WhatIsNotStoredStaysAndWritersAreToldUntilThereIsRoom) {
  Spool("a", 3 * kMiB, 0);
  Spool("b", kMiB / 2, 0);
  EXPECT_TRUE(Enforce(3 * kMiB).full);
  EXPECT_TRUE(ToldFull());
  EXPECT_TRUE(Exists("a"));
  EXPECT_TRUE(Enforce(3 * kMiB).full);
  // Not at the border: it would go to and fro.
  std::filesystem::remove(directory_ + "/b/stdout");
  EXPECT_TRUE(Enforce(3 * kMiB + 20'000).full);
  bound_->MarkStored("a");
  EXPECT_FALSE(Enforce(3 * kMiB).full);
  EXPECT_FALSE(ToldFull());
}

TEST_F(SpoolBoundTest, ASilentTaskWithStoredOutputsCanGoToo) {
  std::filesystem::create_directory(directory_ + "/a");
  std::ofstream(directory_ + "/a/outputs") << std::string(2 * kMiB, 'x');
  bound_->MarkStored("a");
  bound_->MarkStored("absent");
  EXPECT_FALSE(Exists("absent"));
  EXPECT_EQ(Enforce(kMiB).dropped, 1u);
  EXPECT_FALSE(Exists("a"));
}

TEST_F(SpoolBoundTest, IsPressedBeforeItIsFull) {
  Spool("a", kMiB, 0);
  EXPECT_FALSE(Enforce(2 * kMiB).pressed);
  const SpoolUsage usage = Enforce(kMiB * 5 / 4);
  EXPECT_TRUE(usage.pressed);
  EXPECT_FALSE(usage.full);
}

TEST_F(SpoolBoundTest, ARecycledFolderIsNoStoredOne) {
  Spool("a", kMiB, 0);
  bound_->MarkStored("a");
  folders_->Drop("a");
  ASSERT_TRUE(folders_->Provide("b").ok());
  ASSERT_TRUE(Exists("b"));
  if (Exists("b/index")) {
    struct stat info{};
    ASSERT_EQ(stat((directory_ + "/b/index").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777u, 0600u);
  }
  std::ofstream(directory_ + "/b/stdout") << std::string(2 * kMiB, 'x');
  EXPECT_EQ(Enforce(kMiB).dropped, 0u);
  EXPECT_TRUE(Exists("b/stdout"));
}

}  // namespace
}  // namespace boxkeeper::logs
