// What /proc and the clocks say about processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace boxkeeper::base {

// CLOCK_REALTIME and CLOCK_BOOTTIME in nanoseconds.
uint64_t UnixNs();
uint64_t BootNs();

// /proc/sys/kernel/random/boot_id; "" without /proc.
std::string BootId();

struct ProcStat {
  pid_t pid = 0;
  std::string name;  // comm, at most 15 bytes
  char state = '?';  // as in proc(5): R S D Z T ...
  pid_t parent = 0;
  pid_t session = 0;
  // With the pid and the boot id it names a process for ever: clock ticks after boot.
  uint64_t start_ticks = 0;
};
// Nothing when there is no such process.
std::optional<ProcStat> ReadProcStat(pid_t pid);

// All process ids of this pid namespace.
std::vector<pid_t> AllPids();

// Direct children, zombies included. May miss some while others come and go: repeat until nothing
// changes, and take waitpid's ECHILD as the proof.
std::vector<pid_t> ChildrenOf(pid_t pid);

// Whether the environment with which `pid` was started holds `entry` ("NAME=value").
bool EnvironmentHas(pid_t pid, const std::string& entry);

// The cgroup by which a service manager kills: the line of /proc/<pid>/cgroup for name=systemd if
// there is one, else for the unified hierarchy; "" when unknown.
std::string ServiceCgroup(pid_t pid);

// A pidfd for `pid`, only if it is the process that began at `start_ticks`; -1 otherwise.
int OpenProcess(pid_t pid, uint64_t start_ticks);
// A pidfd for whatever `pid` is now; -1 with errno.
int PidfdOpen(pid_t pid);
// 0 or an errno value; ESRCH = it is gone.
int PidfdSignal(int pidfd, int signal);

}  // namespace boxkeeper::base
