#include "launcher/cgroup/delegation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "launcher/cgroup/layout.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;

// Files in place of a kernel: nothing moves, but what was written where can be read.
class DelegationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    Write("/proc/self/cgroup", "0::/a.service\n");
    Write("/proc/self/mountinfo", "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    Write("/cg/cgroup.procs", "");
    Write("/cg/a.service/cgroup.controllers", "cpu memory\n");
    Write("/cg/a.service/cgroup.subtree_control", "");
    Write("/cg/a.service/cgroup.type", "domain\n");
    Write("/cg/a.service/cgroup.procs", "");
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const fs::path full = root_.string() + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(root_.string() + path).rdbuf();
    return text.str();
  }

  fs::path root_;
};

TEST_F(DelegationTest, AnEmptyGroupHandsOnWhatItHas) {
  const CgroupLayout layout = DelegateUnified(1, root_.string());
  EXPECT_EQ(Read("/cg/a.service/cgroup.subtree_control"), "+memory");
  EXPECT_NE(layout.pids.why_not.find("not delegated"), std::string::npos);
}

TEST_F(DelegationTest, AGroupWithTheParentInItIsLeftAlone) {
  Write("/cg/a.service/cgroup.procs", "4711\n4712\n");
  const CgroupLayout layout = DelegateUnified(4711, root_.string());
  EXPECT_FALSE(layout.memory.usable());
  EXPECT_NE(layout.memory.why_not.find("shares its cgroup"), std::string::npos);
  EXPECT_FALSE(fs::exists(root_ / "cg/a.service/boxlaunch"));
  EXPECT_EQ(Read("/cg/a.service/cgroup.subtree_control"), "");
}

TEST_F(DelegationTest, TheTopOfAllGroupsNeedsNoLeaf) {
  fs::remove(root_ / "cg/a.service/cgroup.type");
  Write("/cg/a.service/cgroup.procs", "4711\n");
  DelegateUnified(4711, root_.string());
  EXPECT_EQ(Read("/cg/a.service/cgroup.subtree_control"), "+memory");
}

TEST_F(DelegationTest, LeavesTheServiceOfItsParent) {
  Write("/cg/a.service/cgroup.procs", "4711\n");
  fs::create_directories(root_ / "cg/boxlaunch-gone/boxlaunch");
  Write("/cg/boxlaunch-7/cgroup.procs", "");
  const CgroupLayout layout = DetectCgroups(root_.string());
  LeaveServiceGroup(layout, 1, "7");
  LeaveServiceGroup(layout, 4712, "7");
  EXPECT_EQ(Read("/cg/boxlaunch-7/cgroup.procs"), "");
  LeaveServiceGroup(layout, 4711, "7");
  EXPECT_EQ(Read("/cg/boxlaunch-7/cgroup.procs"), "0");
  EXPECT_FALSE(fs::exists(root_ / "cg/boxlaunch-gone"));
}

TEST(SharesServiceTest, ByUnit) {
  const auto shares = [](const char* own, const char* peer) { return SharesService(own, peer); };
  EXPECT_TRUE(shares("", "0::/a"));
  EXPECT_TRUE(shares("0::/a", ""));
  EXPECT_TRUE(shares("0::/", "0::/"));
  EXPECT_TRUE(shares("0::/s/a.service", "0::/s/a.service"));
  EXPECT_TRUE(shares("0::/s/a.service/boxlaunch", "0::/s/a.service"));
  EXPECT_TRUE(shares("0::/s/a.service/boxlaunch", "0::/s/a.service/main"));
  EXPECT_TRUE(shares("0::/a/b", "0::/a"));
  EXPECT_FALSE(shares("0::/a", "0::/a/b"));
  EXPECT_FALSE(shares("0::/ab", "0::/a"));
  EXPECT_FALSE(shares("0::/s/b.service/boxlaunch", "0::/s/a.service"));
  EXPECT_FALSE(shares("1:name=systemd:/boxlaunch-1", "1:name=systemd:/"));
  EXPECT_FALSE(shares("0::/s/boxlaunch-1", "0::/s/a.service"));
}

}  // namespace
}  // namespace boxkeeper::launcher
