#include "launcher/cgroup/layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;

// A host as files: what /proc says, and the groups as directories.
class LayoutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const fs::path full = root_.string() + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  void Group(const std::string& path) { fs::create_directories(root_.string() + path); }
  void Proc(const std::string& cgroup, const std::string& mountinfo) {
    Write("/proc/self/cgroup", cgroup);
    Write("/proc/self/mountinfo", mountinfo);
  }
  CgroupLayout Detect() const { return DetectCgroups(root_.string()); }
  std::string In(const std::string& path) const { return root_.string() + path; }

  fs::path root_;
};

constexpr char kUnified[] =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST_F(LayoutTest, Version2HandedOn) {
  Proc("0::/system.slice/boxkeeper-launch.service\n", kUnified);
  const std::string own = "/sys/fs/cgroup/system.slice/boxkeeper-launch.service";
  Write(own + "/cgroup.controllers", "cpuset cpu io memory pids\n");
  Write(own + "/cgroup.subtree_control", "cpu memory\n");
  const CgroupLayout layout = Detect();
  EXPECT_EQ(layout.cpu.version, 2);
  EXPECT_EQ(layout.memory.parent, In(own));
  EXPECT_FALSE(layout.pids.usable());
  EXPECT_EQ(layout.pids.parent, In(own));
  EXPECT_NE(layout.pids.why_not.find("hand on"), std::string::npos);
  EXPECT_EQ(layout.own_unified, In(own));
  EXPECT_EQ(layout.own_systemd, "");
}

TEST_F(LayoutTest, Version2FromTheLeafThatALauncherHasMade) {
  Proc("0::/a.service/boxlaunch\n", kUnified);
  Group("/sys/fs/cgroup/a.service/boxlaunch");
  Write("/sys/fs/cgroup/a.service/cgroup.controllers", "cpu memory pids\n");
  Write("/sys/fs/cgroup/a.service/cgroup.subtree_control", "cpu memory pids\n");
  EXPECT_EQ(Detect().pids.parent, In("/sys/fs/cgroup/a.service"));
}

TEST_F(LayoutTest, Version2WithoutDelegation) {
  Proc("0::/user.slice\n", kUnified);
  Write("/sys/fs/cgroup/user.slice/cgroup.controllers", "\n");
  const CgroupLayout layout = Detect();
  for (const Controller& controller : {layout.cpu, layout.memory, layout.pids}) {
    EXPECT_FALSE(controller.usable());
    EXPECT_NE(controller.why_not.find("not delegated"), std::string::npos) << controller.why_not;
    EXPECT_EQ(controller.parent, "");
  }
}

TEST_F(LayoutTest, Version2OfAnotherUser) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  Proc("0::/\n", kUnified);
  Write("/sys/fs/cgroup/cgroup.controllers", "memory\n");
  chmod(In("/sys/fs/cgroup").c_str(), 0555);
  EXPECT_NE(Detect().memory.why_not.find("not delegated"), std::string::npos);
  chmod(In("/sys/fs/cgroup").c_str(), 0755);
}

TEST_F(LayoutTest, Version1WithControllersMountedTogether) {
  Proc("4:memory:/a/b\n3:cpu,cpuacct:/\n2:pids:/\n1:name=systemd:/x.service\n",
       "31 30 0:5 / /cg/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
       "32 30 0:6 / /cg/memory rw - cgroup cgroup rw,memory\n"
       "33 30 0:7 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n");
  Write("/cg/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Write("/cg/cpu,cpuacct/cpuacct.usage", "0\n");
  Write("/cg/memory/a/b/memory.limit_in_bytes", "1\n");
  Group("/cg/systemd/x.service");
  const CgroupLayout layout = Detect();
  EXPECT_EQ(layout.cpu.version, 1);
  EXPECT_EQ(layout.cpu.parent, layout.cpuacct.parent);
  EXPECT_EQ(layout.memory.parent, In("/cg/memory/a/b"));
  EXPECT_NE(layout.pids.why_not.find("not mounted"), std::string::npos) << layout.pids.why_not;
  EXPECT_EQ(layout.own_systemd, In("/cg/systemd/x.service"));
  EXPECT_EQ(layout.own_unified, "");
}

TEST_F(LayoutTest, Version1WithoutQuotasInTheKernel) {
  Proc("3:cpu:/\n", "31 30 0:5 / /cg/cpu rw - cgroup cgroup rw,cpu\n");
  Group("/cg/cpu");
  EXPECT_NE(Detect().cpu.why_not.find("cpu.cfs_quota_us"), std::string::npos);
}

TEST_F(LayoutTest, HybridTakesEachControllerWhereItIs) {
  Proc("2:memory:/\n1:name=systemd:/\n0::/\n",
       std::string(kUnified) + "32 30 0:6 / /cg/memory rw - cgroup cgroup rw,memory\n");
  Write("/cg/memory/memory.limit_in_bytes", "1\n");
  Write("/sys/fs/cgroup/cgroup.controllers", "pids\n");
  Write("/sys/fs/cgroup/cgroup.subtree_control", "pids\n");
  const CgroupLayout layout = Detect();
  EXPECT_EQ(layout.memory.version, 1);
  EXPECT_EQ(layout.pids.version, 2);
  EXPECT_FALSE(layout.cpu.usable());
}

TEST_F(LayoutTest, ReadOnlyAsInAContainer) {
  Proc("0::/\n", "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
  Write("/sys/fs/cgroup/cgroup.controllers", "memory\n");
  Write("/sys/fs/cgroup/cgroup.subtree_control", "memory\n");
  EXPECT_NE(Detect().memory.why_not.find("read-only"), std::string::npos);
}

TEST_F(LayoutTest, AMountOfAPartAndAGroupOutsideOfIt) {
  const std::string mount = "30 23 0:26 /docker/c1 /cg rw - cgroup2 cgroup rw\n";
  Write("/cg/sub/cgroup.controllers", "memory\n");
  Write("/cg/sub/cgroup.subtree_control", "memory\n");
  Proc("0::/docker/c1/sub\n", mount);
  EXPECT_EQ(Detect().memory.parent, In("/cg/sub"));
  for (const char* path : {"/docker/c10/sub", "/other", "/../c2", "/docker/c1/gone (deleted)"}) {
    Proc(std::string("0::") + path + "\n", mount);
    EXPECT_FALSE(Detect().memory.usable()) << path;
  }
}

TEST_F(LayoutTest, OddCharactersInPaths) {
  Proc("7:memory:/a:b c\\040d\n",
       "32 30 0:6 / /cg\\040with\\011tab\\134x rw - cgroup cgroup rw,memory\n");
  Write("/cg with\ttab\\x/a:b c\\040d/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(Detect().memory.parent, In("/cg with\ttab\\x/a:b c\\040d"));
}

TEST_F(LayoutTest, NothingAtAll) {
  const CgroupLayout layout = Detect();
  EXPECT_FALSE(layout.memory.usable());
  EXPECT_NE(layout.memory.why_not, "");
  Proc("garbage\n::\n1:x\n", "1 2 3\n- - -\n30 23 0:26 / /cg rw - cgroup2\n");
  EXPECT_FALSE(Detect().memory.usable());
}

}  // namespace
}  // namespace boxkeeper::launcher
