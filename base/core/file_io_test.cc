#include "base/core/file_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/core/unique_fd.h"

namespace boxkeeper::base {
namespace {

class FileIoTest : public ::testing::Test {
 protected:
  FileIoTest() : directory_(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  ~FileIoTest() override { std::filesystem::remove_all(path_); }

  static std::string MakeDirectory() {
    std::string path = ::testing::TempDir() + "/file_io_XXXXXX";
    return mkdtemp(path.data());
  }

  const std::string path_ = MakeDirectory();
  const UniqueFd directory_;
};

TEST_F(FileIoTest, ReplacesWholeFiles) {
  for (const Durability durability : {Durability::kProcessCrash, Durability::kPowerLoss}) {
    for (const std::string& content : {std::string("a much longer first text"), std::string("b")}) {
      ASSERT_EQ(ReplaceFileAt(directory_.get(), "f", content, 0600, durability), 0);
      std::string bytes;
      ASSERT_EQ(ReadFileAt(directory_.get(), "f", 100, &bytes), 0);
      EXPECT_EQ(bytes, content);
    }
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "/f.new"));
}

TEST_F(FileIoTest, ReadsAtMostTheBound) {
  ASSERT_EQ(ReplaceFileAt(directory_.get(), "f", "12345", 0600, Durability::kProcessCrash), 0);
  std::string bytes;
  EXPECT_EQ(ReadFileAt(directory_.get(), "f", 4, &bytes), EFBIG);
  EXPECT_EQ(ReadFileAt(directory_.get(), "absent", 4, &bytes), ENOENT);
}

TEST_F(FileIoTest, RemovesTreesButNotThroughLinks) {
  std::filesystem::create_directories(path_ + "/tree/a/b");
  std::filesystem::create_directories(path_ + "/kept");
  std::ofstream(path_ + "/kept/file") << "x";
  std::ofstream(path_ + "/tree/a/file") << "x";
  std::filesystem::create_directory_symlink(path_ + "/kept", path_ + "/tree/a/link");
  chmod((path_ + "/tree/a/b").c_str(), 0);
  EXPECT_EQ(RemoveTreeAt(directory_.get(), "tree"), 0);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/tree"));
  EXPECT_TRUE(std::filesystem::exists(path_ + "/kept/file"));
  EXPECT_EQ(RemoveTreeAt(directory_.get(), "tree"), 0);
}

}  // namespace
}  // namespace boxkeeper::base
