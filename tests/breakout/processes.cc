// Other processes: signals, memory, descriptors, priorities.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "tests/breakout/probe.h"

namespace boxkeeper::breakout {
namespace {

long ReadMemoryOf(int pid) {
  char buffer[8];
  iovec mine{buffer, sizeof(buffer)};
  // The lowest address at which a program may lie: even a fault proves that the way is open.
  iovec theirs{reinterpret_cast<void*>(0x10000), sizeof(buffer)};
  const long got = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
  return got < 0 && errno != EFAULT ? -1 : 0;
}

long Seize(int pid) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return -1;
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return 0;
}

long StealDescriptor(int pid, int number) {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return -1;
  return syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

std::string Proc(int pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

// Typing into one's own controlling terminal, from which a parent outside would read commands.
long InjectInput() {
  setsid();
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) return -1;
  const int own = open(ptsname(terminal), O_RDWR | O_CLOEXEC);  // becomes the controlling one
  char letter = 'x';
  return own < 0 ? -1 : ioctl(own, TIOCSTI, &letter);
}

long RaiseLimit(__rlimit_resource which) {
  rlimit limit{};
  if (getrlimit(which, &limit) != 0) return -1;
  if (limit.rlim_max == RLIM_INFINITY) return 0;
  limit.rlim_max += 1;
  return setrlimit(which, &limit);
}

long LowerOomScore() {
  const int score = atoi(ReadAll("/proc/self/oom_score_adj").c_str());
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const std::string text = std::to_string(score - 1);
  return write(fd, text.data(), text.size()) < 0 ? -1 : 0;
}

}  // namespace

void TryProcesses(const Host& host) {
  const int victim = host.victim;
  Try(host, "signal_host_process", Harm::kNone, [=] { return kill(victim, 0); });
  Try(host, "see_host_process", Harm::kNone,
      [=] { return CanOpen(Proc(victim, "status"), O_RDONLY); });
  Try(host, "host_process_environment", Harm::kNone,
      [=] { return CanOpen(Proc(victim, "environ"), O_RDONLY); });
  Try(host, "host_process_root", Harm::kNone,
      [=] { return CanOpen(Proc(victim, "root/etc/passwd"), O_RDONLY); });
  Try(host, "pidfd_of_host_process", Harm::kNone,
      [=] { return syscall(SYS_pidfd_open, victim, 0); });
  Try(host, "ptrace_host_process", Harm::kNone, [=] { return Seize(victim); });
  Try(host, "read_host_process_memory", Harm::kNone, [=] { return ReadMemoryOf(victim); });
  Try(host, "descriptor_of_host_process", Harm::kNone, [=] { return StealDescriptor(victim, 0); });

  Try(host, "ptrace_init", Harm::kIfAllowed, [] { return Seize(1); });
  Try(host, "read_init_memory", Harm::kIfAllowed, [] { return ReadMemoryOf(1); });
  Try(host, "write_init_memory_file", Harm::kIfAllowed,
      [] { return CanOpen("/proc/1/mem", O_RDWR); });
  Try(host, "init_descriptors", Harm::kIfAllowed, [] {
    char target[256];  // root may list them; where they lead is another matter
    return readlink("/proc/1/fd/0", target, sizeof(target));
  });
  Try(host, "init_environment", Harm::kIfAllowed, [] {
    // Opening is granted first and the reading refused.
    const int fd = open("/proc/1/environ", O_RDONLY | O_CLOEXEC);
    char byte;
    return fd < 0 ? -1 : read(fd, &byte, 1) < 0 ? -1 : 0;
  });
  Try(host, "steal_descriptor_of_init", Harm::kIfAllowed, [] { return StealDescriptor(1, 0); });
  // CVE-2019-5736: overwriting the program that set the sandbox up.
  Try(host, "overwrite_program_of_init", Harm::kIfAllowed,
      [] { return CanOpen("/proc/1/exe", O_WRONLY); });
  Try(host, "kill_init", Harm::kIfAllowed, [] {
    // Taken and dropped: init has no handler, and nobody inside can force it.
    const int init = static_cast<int>(syscall(SYS_pidfd_open, 1, 0));
    kill(1, SIGKILL);
    kill(1, SIGTERM);
    pollfd gone{.fd = init, .events = POLLIN, .revents = 0};
    if (init >= 0 && poll(&gone, 1, 100) == 0) {
      errno = EPERM;
      return -1;
    }
    return 0;
  });

  Try(host, "inject_terminal_input", Harm::kNone, InjectInput);
  Try(host, "raise_priority", Harm::kIfAllowed, [] { return setpriority(PRIO_PROCESS, 0, -5); });
  Try(host, "real_time_scheduling", Harm::kIfAllowed, [] {
    const sched_param parameter{.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &parameter);
  });
  Try(host, "lower_oom_score", Harm::kIfAllowed, LowerOomScore);
  Try(host, "raise_open_files_limit", Harm::kIfAllowed, [] { return RaiseLimit(RLIMIT_NOFILE); });
}

}  // namespace boxkeeper::breakout
