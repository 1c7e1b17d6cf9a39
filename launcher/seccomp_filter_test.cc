#include "launcher/seccomp_filter.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace boxkeeper::launcher {
namespace {

// errno of `call` (0 = it succeeded) in a process under the filter.
int Under(const std::function<long()>& call) {
  std::string error;
  std::string program = SeccompProgram(&error);
  EXPECT_NE(program, "") << error;
  const pid_t child = fork();
  if (child == 0) {
    sock_fprog filter{static_cast<unsigned short>(program.size() / sizeof(sock_filter)),
                      reinterpret_cast<sock_filter*>(program.data())};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
      _exit(255);
    }
    _exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(SeccompFilterTest, RefusesWhatLeadsOut) {
  EXPECT_EQ(Under([] { return mount("none", "/tmp", "tmpfs", 0, nullptr); }), EPERM);
  EXPECT_EQ(Under([] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_bpf, 0, nullptr, 0); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_keyctl, 0, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(Under([] { return unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(Under([] { return syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(Under([] { return socket(AF_VSOCK, SOCK_STREAM, 0); }), EAFNOSUPPORT);
  EXPECT_EQ(Under([] { return socket(1000, SOCK_STREAM, 0); }), EAFNOSUPPORT);
}

TEST(SeccompFilterTest, AllowsWhatProgramsDo) {
  EXPECT_EQ(Under([] {
              std::thread([] {}).join();
              return 0;
            }),
            0);
  EXPECT_EQ(Under([] {
              const pid_t child = fork();
              if (child == 0) _exit(0);
              return waitpid(child, nullptr, 0);
            }),
            0);
  EXPECT_EQ(Under([] { return unshare(CLONE_FILES); }), 0);
  EXPECT_EQ(Under([] { return socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(Under([] { return socket(AF_INET6, SOCK_DGRAM, 0); }), 0);
}

}  // namespace
}  // namespace boxkeeper::launcher
