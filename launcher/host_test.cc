// What needs a real root: other users, cgroups, mounts. Skipped without one.

#include <gtest/gtest.h>
#include <unistd.h>

#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

class HostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const bool all_users_mapped =
        ReadFileOrEmpty("/proc/self/uid_map").find("4294967295") != std::string::npos;
    if (geteuid() != 0 || !all_users_mapped) GTEST_SKIP() << "needs the root of the host";
    harness_.StartLauncher();
  }
  Harness harness_;
};

TEST_F(HostTest, RunsAsAnotherUser) {
  LaunchSpec spec =
      harness_.Shell("user", "id -u; id -g; id -G; stat -c '%u %a' key .; exec 3<key && echo read");
  spec.user = "12345:23456";
  spec.files = {{"key", 0, "s", true}};
  const ExitRecord exit = harness_.RunToEnd("user", spec);
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error << harness_.Stderr("user");
  EXPECT_EQ(harness_.Stdout("user"), "12345\n23456\n23456\n12345 400\n12345 700\nread\n");
}

TEST_F(HostTest, ATaskFileCannotReachWhatItsUserMayNot) {
  LaunchSpec spec = harness_.Shell("evil", "true");
  spec.user = "12345";
  spec.files = {{harness_.state_dir() + "/planted", 0644, "x", false}};
  EXPECT_EQ(harness_.RunToEnd("evil", spec).kind, EndKind::kStartFailed);
  EXPECT_EQ(ReadFileOrEmpty(harness_.state_dir() + "/planted"), "");
}

}  // namespace
}  // namespace boxkeeper::launcher
