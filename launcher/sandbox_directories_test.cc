#include "launcher/sandbox_directories.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace boxkeeper::launcher {
namespace {

class SandboxDirectoriesTest : public ::testing::Test {
 protected:
  SandboxDirectoriesTest() : launch_(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    std::string error;
    if (!directories_.Open(launch_.get(), &error)) abort();
  }
  ~SandboxDirectoriesTest() override { std::filesystem::remove_all(path_); }

  static std::string MakeDirectory() {
    std::string path = ::testing::TempDir() + "/directories_XXXXXX";
    return mkdtemp(path.data());
  }
  void Create(const std::string& id, const std::string& labels = "") {
    ASSERT_EQ(directories_.Create({id, "name", labels, "boot", 1}), 0);
  }
  std::string Retire(const std::string& id) {
    std::string retired;
    EXPECT_EQ(directories_.Retire(id, &retired), 0);
    return retired;
  }
  uint64_t Inode(const std::string& id) const {
    struct stat status{};
    stat((path_ + "/sandboxes/" + id).c_str(), &status);
    return status.st_ino;
  }

  const std::string path_ = MakeDirectory();
  base::UniqueFd launch_;
  SandboxDirectories directories_;
};

TEST_F(SandboxDirectoriesTest, ASandboxAppearsWhole) {
  Create("a", "labels");
  BootRecord boot;
  const base::UniqueFd directory = directories_.OpenOne("a");
  ASSERT_EQ(ReadRecord(directory.get(), kBootFile, &boot), ReadResult::kRead);
  EXPECT_EQ(boot.labels, "labels");
  EXPECT_TRUE(std::filesystem::is_directory(path_ + "/sandboxes/a/work"));
  EXPECT_EQ(directories_.Ids(), std::vector<std::string>{"a"});
}

TEST_F(SandboxDirectoriesTest, ACleanOneServesAgainWithoutItsRecords) {
  Create("a", std::string(1000, 'l'));
  const uint64_t inode = Inode("a");
  for (const char* file : {kStartedFile, kPidFile, kExitFile, kScriptFile}) {
    std::ofstream(path_ + "/sandboxes/a/" + file) << "old";
  }
  EXPECT_EQ(directories_.Recycle(Retire("a")), 0);
  Create("b");
  EXPECT_EQ(Inode("b"), inode);
  const base::UniqueFd directory = directories_.OpenOne("b");
  BootRecord boot;
  ASSERT_EQ(ReadRecord(directory.get(), kBootFile, &boot), ReadResult::kRead);
  EXPECT_EQ(boot.id, "b");
  for (const char* file : {kStartedFile, kPidFile, kExitFile, kScriptFile}) {
    EXPECT_FALSE(std::filesystem::exists(path_ + "/sandboxes/b/" + file)) << file;
  }
}

TEST_F(SandboxDirectoriesTest, OneThatATaskHasTouchedDoesNot) {
  const std::string sandbox = path_ + "/sandboxes/a";
  for (const std::string& touch : {"touch work/x", "touch x", "chmod 777 work", "rm -r work"}) {
    Create("a");
    const std::string retired = [&] {
      const std::string command = std::string("cd ").append(sandbox).append(" && ").append(touch);
      EXPECT_EQ(system(command.c_str()), 0);
      return Retire("a");
    }();
    directories_.Recycle(retired);
    Create("b");
    EXPECT_TRUE(std::filesystem::is_empty(path_ + "/sandboxes/b/work")) << touch;
    EXPECT_FALSE(std::filesystem::exists(path_ + "/sandboxes/b/x")) << touch;
    directories_.Discard(Retire("b"));
  }
}

TEST_F(SandboxDirectoriesTest, AnIdThatIsGoneCannotBeRetired) {
  std::string retired;
  EXPECT_EQ(directories_.Retire("none", &retired), ENOENT);
}

}  // namespace
}  // namespace boxkeeper::launcher
