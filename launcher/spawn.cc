#include "launcher/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

// What parent and child share while the child borrows the parent's memory (CLONE_VM): the child may
// use only system calls and this, nothing that allocates or locks.
struct Shared {
  const SpawnRequest* request;
  char* const* argv;
  char* const* environment;
  const char* const* candidates;
  size_t candidate_count;
  pid_t parent;
  bool switch_user;
  // Set by the child when it fails.
  int error;
  const char* stage;
};

int Fail(Shared* shared, const char* stage) {
  shared->error = errno;
  shared->stage = stage;
  return 127;
}

// Raw system calls: the C library's would look for other threads to take along.
bool BecomeUser(const Account& account) {
  return syscall(SYS_setgroups, account.groups.size(), account.groups.data()) == 0 &&
         syscall(SYS_setresgid, account.gid, account.gid, account.gid) == 0 &&
         syscall(SYS_setresuid, account.uid, account.uid, account.uid) == 0;
}

void UnblockSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool EnterGroups(const SpawnRequest& request) {
  for (const int entry : request.group_entries) {
    if (write(entry, "0", 1) != 1) return false;
  }
  return true;
}

void SetLimits(const SpawnRequest& request) {
  setrlimit(RLIMIT_NOFILE, &request.open_files);
  if (request.address_space > 0) {
    const rlimit address_space{request.address_space, request.address_space};
    setrlimit(RLIMIT_AS, &address_space);
  }
  if (request.forbid_core) {
    // One byte: below any core file's size, and the kernel's word for "not to a pipe either".
    const rlimit no_core{1, 1};
    setrlimit(RLIMIT_CORE, &no_core);
  }
  if (request.set_oom_score_adj) {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      (void)!write(fd, "0", 1);
      close(fd);
    }
  }
}

bool PlaceStdio(const SpawnRequest& request) {
  // First above the three, so that none is overwritten before it has moved.
  const int in = fcntl(request.stdin_fd, F_DUPFD_CLOEXEC, 3);
  const int out = fcntl(request.stdout_fd, F_DUPFD_CLOEXEC, 3);
  const int err = fcntl(request.stderr_fd, F_DUPFD_CLOEXEC, 3);
  return in >= 0 && out >= 0 && err >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 &&
         dup2(err, 2) == 2;
}

// As execvp: EACCES is remembered while later candidates are tried.
int Exec(Shared* shared) {
  int remembered = ENOENT;
  for (size_t i = 0; i < shared->candidate_count; ++i) {
    execve(shared->candidates[i], shared->argv, shared->environment);
    if (errno == EACCES) remembered = EACCES;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return Fail(shared, "exec");
  }
  errno = remembered;
  return Fail(shared, "exec");
}

int Child(void* argument) {
  auto* shared = static_cast<Shared*>(argument);
  const SpawnRequest& request = *shared->request;
  setsid();
  // First of all: the descriptors may be where the standard ones go, and another user may not.
  if (!EnterGroups(request)) return Fail(shared, "cgroup");
  if (!PlaceStdio(request)) return Fail(shared, "stdio");
  SetLimits(request);
  if (shared->switch_user && !BecomeUser(request.account)) return Fail(shared, "user");
  // After the change of user, which would clear it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != shared->parent) return Fail(shared, "parent");
  if (fchdir(request.workdir) != 0) return Fail(shared, "workdir");
  umask(022);
  if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) != 0) return Fail(shared, "stdio");
  for (const int fd : request.inherited) {
    if (fcntl(fd, F_SETFD, 0) != 0) return Fail(shared, "stdio");
  }
  UnblockSignals();
  return Exec(shared);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

SpawnResult Spawn(const SpawnRequest& request) {
  const std::vector<char*> argv = Pointers(*request.argv);
  const std::vector<char*> environment = Pointers(*request.environment);
  const std::vector<char*> candidates = Pointers(request.candidates);
  Shared shared{};
  shared.request = &request;
  shared.argv = argv.data();
  shared.environment = environment.data();
  shared.candidates = candidates.data();
  shared.candidate_count = request.candidates.size();
  shared.parent = getpid();
  shared.switch_user = request.account.uid != geteuid() || request.account.gid != getegid();
  alignas(16) static std::array<char, 64 * 1024> stack;
  SpawnResult result;
  int pidfd = -1;
  // The parent sleeps until the child has left its memory by exec or exit.
  result.pid = clone(Child, stack.data() + stack.size(),
                     CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &shared, &pidfd);
  if (result.pid < 0) {
    result.error = errno;
    result.stage = "fork";
    return result;
  }
  result.pidfd.Reset(pidfd);
  result.error = shared.error;
  if (result.error == 0) return result;
  waitpid(result.pid, nullptr, 0);
  result.stage = shared.stage;
  if (result.stage == "exec") result.stage += " '" + request.argv->front() + "'";
  return result;
}

}  // namespace boxkeeper::launcher
