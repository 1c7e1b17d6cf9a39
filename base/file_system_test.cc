#include "base/file_system.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

namespace boxkeeper::base {
namespace {

class RealFileSystemTest : public testing::Test {
 protected:
  RealFileSystemTest() {
    std::string pattern = testing::TempDir() + "/fs.XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~RealFileSystemTest() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<FileSystem> fs_ = MakeRealFileSystem();
  std::string dir_;
};

constexpr OpenOptions kCreate{.write = true, .create = true};

TEST_F(RealFileSystemTest, ReadsWhatItWrote) {
  auto file = fs_->Open(dir_ + "/a", kCreate);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->WriteAt(2, "llo").ok());
  ASSERT_TRUE((*file)->WriteAt(0, "he").ok());
  ASSERT_TRUE((*file)->Append("!").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ(*(*file)->ReadAt(0, 100), "hello!");
  EXPECT_EQ(*(*file)->ReadAt(6, 1), "");
  ASSERT_TRUE((*file)->Truncate(3).ok());
  EXPECT_EQ(*(*file)->Size(), 3u);
}

TEST_F(RealFileSystemTest, CreatesWithTheModeAskedForAndExclusively) {
  ASSERT_TRUE(fs_->Open(dir_ + "/a", kCreate).ok());
  struct stat info{};
  ASSERT_EQ(stat((dir_ + "/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  OpenOptions exclusive = kCreate;
  exclusive.exclusive = true;
  EXPECT_EQ(fs_->Open(dir_ + "/a", exclusive).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(fs_->Open(dir_ + "/b", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RealFileSystemTest, LockExcludesTheSecondHolderUntilClosed) {
  auto first = fs_->Open(dir_ + "/lock", kCreate);
  auto second = fs_->Open(dir_ + "/lock", kCreate);
  ASSERT_TRUE((*first)->Lock().ok());
  EXPECT_EQ((*second)->Lock().code(), absl::StatusCode::kFailedPrecondition);
  first->reset();
  EXPECT_TRUE((*second)->Lock().ok());
}

TEST_F(RealFileSystemTest, WriteFileAtomicallyReplacesAndLeavesNothingBeside) {
  ASSERT_TRUE(WriteFileAtomically(*fs_, dir_ + "/f", "one", 0640).ok());
  ASSERT_TRUE(WriteFileAtomically(*fs_, dir_ + "/f", "two", 0600).ok());
  EXPECT_EQ(*ReadFile(*fs_, dir_ + "/f"), "two");
  EXPECT_EQ(*fs_->List(dir_), std::vector<std::string>{"f"});
  struct stat info{};
  ASSERT_EQ(stat((dir_ + "/f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RealFileSystemTest, MakesDirectoriesWithParentsAndListsSorted) {
  ASSERT_TRUE(fs_->MakeDirectories(dir_ + "/x/y/z", 0700).ok());
  ASSERT_TRUE(fs_->MakeDirectories(dir_ + "/x/y/z", 0700).ok());
  ASSERT_TRUE(fs_->MakeDirectories(dir_ + "/x/y/a/", 0700).ok());
  EXPECT_EQ(*fs_->List(dir_ + "/x/y"), (std::vector<std::string>{"a", "z"}));
  ASSERT_TRUE(fs_->Open(dir_ + "/file", kCreate).ok());
  EXPECT_FALSE(fs_->MakeDirectories(dir_ + "/file", 0700).ok());
  EXPECT_FALSE(fs_->MakeDirectories(dir_ + "/file/below", 0700).ok());
  EXPECT_TRUE(*fs_->Exists(dir_ + "/x"));
  EXPECT_FALSE(*fs_->Exists(dir_ + "/nothing"));
  EXPECT_TRUE(fs_->SyncDir(dir_).ok());
  EXPECT_GT(*fs_->FreeBytes(dir_), 0u);
}

TEST_F(RealFileSystemTest, RenameAndRemove) {
  ASSERT_TRUE(WriteFileAtomically(*fs_, dir_ + "/f", "x", 0600).ok());
  EXPECT_EQ(ParentDirectory("/a/b"), "/a");
  EXPECT_EQ(ParentDirectory("/b"), "/");
  EXPECT_EQ(ParentDirectory("b"), ".");
  ASSERT_TRUE(fs_->Rename(dir_ + "/f", dir_ + "/g").ok());
  EXPECT_FALSE(*fs_->Exists(dir_ + "/f"));
  ASSERT_TRUE(fs_->Remove(dir_ + "/g").ok());
  EXPECT_EQ(fs_->Remove(dir_ + "/g").code(), absl::StatusCode::kNotFound);
}

TEST_F(RealFileSystemTest, ReadsFilesThatSayTheyAreEmpty) {
  EXPECT_FALSE(ReadFile(*fs_, "/proc/self/status")->empty());
}

}  // namespace
}  // namespace boxkeeper::base
