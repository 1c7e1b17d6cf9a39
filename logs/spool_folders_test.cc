#include "logs/spool_folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace boxkeeper::logs {
namespace {

namespace fs = std::filesystem;

class SpoolFoldersTest : public ::testing::Test {
 protected:
  SpoolFoldersTest() { EXPECT_NE(mkdtemp(base_.data()), nullptr); }
  ~SpoolFoldersTest() override { fs::remove_all(base_); }

  std::string Path(const std::string& name) const { return base_ + "/spool/" + name; }
  // As whoever writes the first byte does.
  void Make(const std::string& name) { fs::create_directories(Path(name)); }
  void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  ino_t Inode(const std::string& path) const {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
  }

  std::string base_ = "/tmp/bk-spool-XXXXXX";
};

TEST_F(SpoolFoldersTest, MakesNothingButThePrivatePlaceForFolders) {
  SpoolFolders folders(base_ + "/spool");
  EXPECT_FALSE(folders.HasNone());  // nobody has looked yet
  ASSERT_TRUE(folders.Provide("a").ok());
  EXPECT_TRUE(folders.HasNone());
  EXPECT_FALSE(fs::exists(Path("a")));
  struct stat info{};
  ASSERT_EQ(stat((base_ + "/spool").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST_F(SpoolFoldersTest, KeepsWhatAnEarlierStartMade) {
  SpoolFolders folders(base_ + "/spool");
  Make("a");
  Write(Path("a") + "/stdout", "kept");
  ASSERT_TRUE(folders.Provide("a").ok());
  EXPECT_EQ(fs::file_size(Path("a") + "/stdout"), 4U);
}

TEST_F(SpoolFoldersTest, RecyclesFolderAndFilesWithoutTheirContent) {
  SpoolFolders folders(base_ + "/spool");
  Make("a");
  Write(Path("a") + "/stdout", "old output");
  Write(Path("a") + "/stdout.drop", "a hole");
  const ino_t folder = Inode(Path("a"));
  const ino_t file = Inode(Path("a") + "/stdout");
  folders.Drop("a");
  EXPECT_FALSE(fs::exists(Path("a")));
  ASSERT_TRUE(folders.Provide("b").ok());
  EXPECT_EQ(Inode(Path("b")), folder);
  EXPECT_EQ(Inode(Path("b") + "/stdout"), file);
  EXPECT_EQ(fs::file_size(Path("b") + "/stdout"), 0U);
  EXPECT_FALSE(fs::exists(Path("b") + "/stdout.drop"));
}

TEST_F(SpoolFoldersTest, EmptiesTheSparesOfAnEarlierProcess) {
  {
    SpoolFolders folders(base_ + "/spool");
    Make("a");
    folders.Drop("a");
    EXPECT_FALSE(folders.HasNone());
  }
  Write(Path(".spare/a/stdout"), "it died before it had emptied this");
  SpoolFolders folders(base_ + "/spool");
  ASSERT_TRUE(folders.Provide("b").ok());
  EXPECT_FALSE(fs::exists(Path(".spare/a")));
  EXPECT_TRUE(fs::is_empty(Path("b/stdout")));
}

TEST_F(SpoolFoldersTest, DroppingAnAbsentFolderIsFine) {
  SpoolFolders folders(base_ + "/spool");
  folders.Drop("never-made");
  EXPECT_TRUE(folders.Provide("a").ok());
}

TEST_F(SpoolFoldersTest, TellsWhyAFolderCannotBeMade) {
  Write(base_ + "/file", "");
  SpoolFolders folders(base_ + "/file");
  const absl::Status made = folders.Provide("a");
  EXPECT_FALSE(made.ok());
  EXPECT_NE(made.message().find(base_ + "/file"), absl::string_view::npos) << made;
}

TEST_F(SpoolFoldersTest, DoesNotFollowALinkOutOfTheFolder) {
  SpoolFolders folders(base_ + "/spool");
  Make("a");
  Write(base_ + "/outside", "not ours");
  fs::create_symlink(base_ + "/outside", Path("a") + "/stdout");
  folders.Drop("a");
  EXPECT_EQ(fs::file_size(base_ + "/outside"), 8U);
  ASSERT_TRUE(folders.Provide("b").ok());
  EXPECT_FALSE(fs::exists(Path("b") + "/stdout"));
}

}  // namespace
}  // namespace boxkeeper::logs
