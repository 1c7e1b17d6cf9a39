// The system calls that a sandboxed command is refused.
#pragma once

#include <string>

namespace boxkeeper::launcher {

// A classic BPF program (an array of sock_filter) for seccomp(2), as `bwrap --seccomp` reads it; ""
// with `error` set when libseccomp refuses. What is refused, with EPERM unless told otherwise:
//   mounts and roots, new and other namespaces (clone3, whose flags a filter cannot see, with
//   ENOSYS, so that libraries fall back to clone), ptrace and other ways into another process,
//   kernel keyrings, bpf, perf, userfaultfd, io_uring, file handles, modules, clocks, swap, reboot,
//   ports, the kernel's log, terminal injection (TIOCSTI, TIOCLINUX), and sockets of other families
//   than unix, inet, inet6 and netlink (EAFNOSUPPORT). Calls by another architecture's numbers:
//   ENOSYS.
// All else is allowed: the namespaces and the lack of capabilities bound it.
std::string SeccompProgram(std::string* error);

}  // namespace boxkeeper::launcher
