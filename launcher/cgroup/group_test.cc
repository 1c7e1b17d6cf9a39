// Groups as files: what is read and written, and that a refusal leaves nothing behind. What the
// kernel does with them is in launcher/limits_test.cc.

#include "launcher/cgroup/group.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;

class GroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  Controller At(const std::string& parent, int version) {
    fs::create_directories(root_ / parent);
    return {.version = version, .parent = (root_ / parent).string(), .why_not = ""};
  }
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(root_ / path).rdbuf();
    return text.str();
  }

  fs::path root_;
};

TEST_F(GroupTest, WhatCannotBeSetLeavesNoGroupBehind) {
  CgroupLayout layout;
  layout.memory = At("memory", 1);
  layout.pids = At("pids", 1);
  SandboxGroup group;
  std::string error;
  // Nothing appears in these directories, as in a hierarchy without the controller.
  EXPECT_FALSE(group.Create(layout, "x", {.cpu_millis = 0, .memory_bytes = 1, .pids = 1}, &error));
  EXPECT_NE(error.find("memory/x"), std::string::npos) << error;
  EXPECT_FALSE(group.exists());
  EXPECT_TRUE(GroupNames(layout, "x").empty());
}

TEST_F(GroupTest, AControllerThatIsNotUsableSaysWhy) {
  CgroupLayout layout;
  layout.cpu.why_not = "because";
  SandboxGroup group;
  std::string error;
  EXPECT_FALSE(group.Create(layout, "x", {.cpu_millis = 1, .memory_bytes = 0, .pids = 0}, &error));
  EXPECT_EQ(error, "because");
}

TEST_F(GroupTest, NoLimitsMakeNoGroup) {
  CgroupLayout layout;
  layout.cpuacct = At("cpuacct", 1);
  SandboxGroup group;
  std::string error;
  EXPECT_TRUE(group.Create(layout, "x", {}, &error));
  EXPECT_FALSE(group.exists());
  EXPECT_TRUE(group.entries().empty());
}

TEST_F(GroupTest, CountersOfVersion2) {
  CgroupLayout layout;
  layout.cpu = layout.memory = layout.pids = At("own", 2);
  Write("own/cgroup.controllers", "cpu memory pids\n");
  Write("own/x/memory.events", "low 0\noom 2\noom_kill 3\noom_group_kill 1\n");
  Write("own/x/memory.peak", "4096\n");
  Write("own/x/cpu.stat", "usage_usec 9\nuser_usec 5\nsystem_usec 4\n");
  Write("own/x/cgroup.procs", "12\n345\n");
  Write("own/x/cgroup.kill", "");
  Write("own/x/cpu.max", "");
  const SandboxGroup group = SandboxGroup::Find(layout, "x");
  const GroupUsage usage = group.Usage();
  EXPECT_EQ(usage.oom_kills, 3u);
  EXPECT_EQ(usage.peak_memory_bytes, 4096u);
  EXPECT_EQ(usage.cpu_user_us, 5u);
  EXPECT_EQ(usage.cpu_system_us, 4u);
  EXPECT_EQ(group.Members(), (std::vector<pid_t>{12, 345}));
  group.Kill();
  EXPECT_EQ(Read("own/x/cgroup.kill"), "1");
  EXPECT_EQ(Read("own/x/cpu.max"), "max");
}

TEST_F(GroupTest, CountersOfVersion1AreInSeveralHierarchies) {
  CgroupLayout layout;
  layout.cpu = At("cpu", 1);
  layout.cpuacct = At("cpuacct", 1);
  layout.memory = At("memory", 1);
  Write("memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  Write("memory/x/memory.max_usage_in_bytes", "8192\n");
  Write("memory/x/cgroup.procs", "12\n");
  Write("cpuacct/x/cpuacct.usage_user", "5000\n");
  Write("cpuacct/x/cpuacct.usage_sys", "7999\n");
  Write("cpuacct/x/cgroup.procs", "12\n13\n");
  Write("cpu/x/cpu.cfs_quota_us", "");
  Write("cpu/y/cpu.cfs_quota_us", "");
  const SandboxGroup group = SandboxGroup::Find(layout, "x");
  const GroupUsage usage = group.Usage();
  EXPECT_EQ(usage.oom_kills, 1u);
  EXPECT_EQ(usage.peak_memory_bytes, 8192u);
  EXPECT_EQ(usage.cpu_user_us, 5u);
  EXPECT_EQ(usage.cpu_system_us, 7u);
  EXPECT_EQ(group.Members(), (std::vector<pid_t>{12, 13}));
  group.Kill();
  EXPECT_EQ(Read("cpu/x/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(Read("cpu/y/cpu.cfs_quota_us"), "");
  EXPECT_EQ(GroupNames(layout, "x"), std::vector<std::string>{"x"});
  EXPECT_EQ(GroupNames(layout, "y"), std::vector<std::string>{"y"});
}

TEST_F(GroupTest, WithoutCountersNothingIsClaimed) {
  CgroupLayout layout;
  layout.memory = At("memory", 2);
  Write("memory/x/memory.events", "oom_killer 7\n");
  const GroupUsage usage = SandboxGroup::Find(layout, "x").Usage();
  EXPECT_FALSE(usage.oom_kills);
  EXPECT_FALSE(usage.peak_memory_bytes);
  EXPECT_FALSE(SandboxGroup::Find(layout, "z").exists());
}

}  // namespace
}  // namespace boxkeeper::launcher
