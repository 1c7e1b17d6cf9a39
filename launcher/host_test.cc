// What needs the root of the host: other users, cgroups, mounts. Skipped without.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/core/proc.h"
#include "launcher/testing/harness.h"

namespace boxkeeper::launcher {
namespace {

namespace fs = std::filesystem;

class HostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const bool all_users_mapped =
        ReadFileOrEmpty("/proc/self/uid_map").find("4294967295") != std::string::npos;
    if (geteuid() != 0 || !all_users_mapped) GTEST_SKIP() << "needs the root of the host";
  }
  Harness harness_;
};

TEST_F(HostTest, RunsAsAnotherUser) {
  harness_.StartLauncher();
  LaunchSpec spec =
      harness_.Shell("user", "id -u; id -g; id -G; stat -c '%u %a' key .; exec 3<key && echo read");
  spec.user = "12345:23456";
  spec.files = {{"key", 0, "s", true}};
  const ExitRecord exit = harness_.RunToEnd("user", spec);
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error << harness_.Stderr("user");
  EXPECT_EQ(harness_.Stdout("user"), "12345\n23456\n23456\n12345 400\n12345 700\nread\n");
}

TEST_F(HostTest, AnotherUserNeedsNoAccessToTheStateDirectory) {
  fs::permissions(harness_.state_dir(), fs::perms::owner_all);
  fs::create_directory(harness_.state_dir() + "/launch");
  fs::permissions(harness_.state_dir() + "/launch", fs::perms::owner_all);
  harness_.StartLauncher();
  LaunchSpec spec = harness_.Spec(
      "closed",
      {.kind = CommandKind::kScript, .argv = {}, .text = "id -u; cat in; : > out", .lang = "sh"});
  spec.user = "12345";
  spec.files = {{"in", 0600, "x", false}};
  const ExitRecord exit = harness_.RunToEnd("closed", spec);
  EXPECT_EQ(exit.ExitCode(), 0) << exit.error << harness_.Stderr("closed");
  EXPECT_EQ(harness_.Stdout("closed"), "12345\nx");
}

TEST_F(HostTest, ADirectoryOfAnotherUserIsNotRecycled) {
  harness_.StartLauncher();
  LaunchSpec spec = harness_.Shell("first", "true");
  spec.user = "12345";
  harness_.RunToEnd("first", spec);
  harness_.client().Call<DestroyReply>(DestroyRequest{"first"});
  harness_.RunToEnd("second", harness_.Shell("second", "stat -c %u ."));
  EXPECT_EQ(harness_.Stdout("second"), "0\n");
}

TEST_F(HostTest, ATaskFileCannotReachWhatItsUserMayNot) {
  harness_.StartLauncher();
  LaunchSpec spec = harness_.Shell("evil", "true");
  spec.user = "12345";
  spec.files = {{harness_.state_dir() + "/planted", 0644, "x", false}};
  EXPECT_EQ(harness_.RunToEnd("evil", spec).kind, EndKind::kStartFailed);
  EXPECT_FALSE(fs::exists(harness_.state_dir() + "/planted"));
}

// A cgroup in the hierarchy by which a service manager kills; removed at the end.
class Cgroup {
 public:
  explicit Cgroup(const std::string& name) {
    const std::string hierarchy =
        base::ServiceCgroup(getpid()).starts_with("0::") ? "unified" : "systemd";
    const std::string root = fs::exists("/sys/fs/cgroup/cgroup.procs")
                                 ? "/sys/fs/cgroup"
                                 : "/sys/fs/cgroup/" + hierarchy;
    path_ = root + "/boxlaunch_test_" + std::to_string(getpid()) + "_" + name;
    std::error_code ignored;
    fs::create_directory(path_, ignored);
  }
  ~Cgroup() {
    KillAll();
    WaitUntil([&] { return rmdir(path_.c_str()) == 0 || errno == ENOENT; });
  }
  bool Enter(pid_t pid) const {
    std::ofstream procs(path_ + "/cgroup.procs");
    procs << pid << std::flush;
    return procs.good();
  }
  std::vector<pid_t> Members() const {
    std::vector<pid_t> members;
    std::istringstream text(ReadFileOrEmpty(path_ + "/cgroup.procs"));
    for (pid_t pid; text >> pid;) members.push_back(pid);
    return members;
  }
  void KillAll() const {
    WaitUntil([&] {
      for (const pid_t pid : Members()) kill(pid, SIGKILL);
      return Members().empty();
    });
  }

 private:
  std::string path_;
};

// The daemon's cgroup is killed as a service manager does it: no task notices.
TEST_F(HostTest, KillingTheDaemonsCgroupTouchesNoTask) {
  const Cgroup launchers("launcher"), daemons("daemon");
  harness_.StartLauncher();
  if (!launchers.Enter(harness_.launcher_pid())) GTEST_SKIP() << "no writable cgroup hierarchy";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t daemon = fork();
  if (daemon == 0) {
    if (!daemons.Enter(getpid())) _exit(1);
    TestClient client(harness_.state_dir());
    char shared = client.hello().shares_cgroup_with_peer ? 'y' : 'n';
    for (const char* id : {"a", "b", "c"}) {
      const LaunchSpec spec =
          harness_.Shell(id, "echo on; while ! test -e go; do sleep 0.01; done; exit 8");
      client.Call<CreateReply>(CreateRequest{id, id, ""});
      const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
      client.Call<StartReply>(StartRequest{id, "e"}, memfd.get());
    }
    (void)!write(ready[1], &shared, 1);
    for (;;) pause();
  }
  close(ready[1]);
  char shared = '?';
  ASSERT_EQ(read(ready[0], &shared, 1), 1);
  close(ready[0]);
  EXPECT_EQ(shared, 'n');
  daemons.KillAll();
  for (const char* id : {"a", "b", "c"}) {
    WaitUntil([&] { return harness_.Stdout(id) == "on\n"; });
    const SandboxInfo info = harness_.Inspect(id);
    EXPECT_EQ(info.state, SandboxState::kRunning);
    EXPECT_EQ(base::ServiceCgroup(static_cast<pid_t>(info.supervisor_pid)),
              base::ServiceCgroup(harness_.launcher_pid()));
    std::ofstream(harness_.SandboxPath(id) + "/work/go") << "";
    EXPECT_EQ(harness_.WaitForEnd(id).ExitCode(), 8);
  }
  harness_.KillLauncher();
}

// A root file system with nothing but boxlaunch, a static busybox and /proc.
TEST_F(HostTest, RunsOnABareRootFileSystem) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "not static with a sanitizer";
#endif
#endif
  const std::string root = harness_.state_dir() + "/root";
  for (const char* directory : {"/bin", "/proc", "/state", "/spool"}) {
    fs::create_directories(root + directory);
  }
  std::error_code missing;
  fs::copy_file("/bin/busybox", root + "/bin/busybox", missing);
  if (missing) GTEST_SKIP() << "no busybox";
  fs::create_symlink("busybox", root + "/bin/sh");
  fs::copy_file(LauncherBinary(), root + "/bin/boxlaunch");
  const pid_t launcher = fork();
  if (launcher == 0) {
    // The mount goes with this namespace.
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("proc", (root + "/proc").c_str(), "proc", 0, nullptr) != 0 ||
        chroot(root.c_str()) != 0 || chdir("/") != 0) {
      _exit(1);
    }
    execl("/bin/boxlaunch", "boxlaunch", "--state_dir", "/state", nullptr);
    _exit(1);
  }
  TestClient client(root + "/state", /*hello=*/false);
  client.Call<HelloReply>(HelloRequest{kProtocolVersion, "/state", base::BootId()});
  client.Call<CreateReply>(CreateRequest{"bare", "n", ""});
  LaunchSpec spec;
  spec.command.kind = CommandKind::kShell;
  spec.command.text = "read line; echo \"$HOME $USER [$line]\"; exit 3";
  spec.stdout_path = "/spool/out";
  spec.stderr_path = "/spool/err";
  spec.index_path = "/spool/index";
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  client.Call<StartReply>(StartRequest{"bare", "e"}, memfd.get());
  const SandboxInfo info = client.NextEvent(MessageType::kExitedEvent, "bare");
  EXPECT_EQ(info.exit->ExitCode(), 3) << info.exit->error;
  EXPECT_EQ(ReadFileOrEmpty(root + "/spool/out"), "/state/launch/sandboxes/bare/work 0 []\n");
  kill(launcher, SIGTERM);
  int status = 0;
  waitpid(launcher, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace boxkeeper::launcher
