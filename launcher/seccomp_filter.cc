#include "launcher/seccomp_filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {
namespace {

constexpr std::array kRefused = {
    // mounts and roots
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(open_tree),
    SCMP_SYS(fsopen), SCMP_SYS(fspick), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(move_mount),
    SCMP_SYS(mount_setattr), SCMP_SYS(setns), SCMP_SYS(open_by_handle_at),
    // other processes
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(process_madvise),
    // large and young parts of the kernel
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(add_key), SCMP_SYS(request_key),
    SCMP_SYS(keyctl), SCMP_SYS(fanotify_init),
    // the machine
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(delete_module), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
    SCMP_SYS(syslog), SCMP_SYS(vhangup), SCMP_SYS(lookup_dcookie), SCMP_SYS(nfsservctl)};

constexpr std::array<unsigned long, 8> kNamespaces = {
    CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWNET,    CLONE_NEWPID,
    CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME, of unshare */};
constexpr std::array<unsigned long, 2> kTerminalRequests = {TIOCSTI, TIOCLINUX};
constexpr unsigned kFamiliesKnown = 64;  // the kernel itself knows none from here on
constexpr uint64_t kLow32 = 0xffffffff;  // what the kernel looks at of an int argument

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

int RefuseFamilies(scmp_filter_ctx context, int call) {
  int error = 0;
  for (unsigned family = 0; family < kFamiliesKnown && error == 0; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) {
      continue;
    }
    error = seccomp_rule_add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, kLow32, family));
  }
  return error;
}

int AddRules(scmp_filter_ctx context) {
  const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  int error = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  if (error == 0) error = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const int call : kRefused) {
    if (error == 0) error = seccomp_rule_add(context, refuse, call, 0);
  }
  if (error == 0) error = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  for (const unsigned long flag : kNamespaces) {
    for (const int call : {SCMP_SYS(clone), SCMP_SYS(unshare)}) {
      // The low byte of clone's flags is the signal of the child's end.
      if (error != 0 || (call == SCMP_SYS(clone) && flag < 0x100)) continue;
      error = seccomp_rule_add(context, refuse, call, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    }
  }
  for (const unsigned long request : kTerminalRequests) {
    if (error == 0) {
      error = seccomp_rule_add(context, refuse, SCMP_SYS(ioctl), 1,
                               SCMP_A1(SCMP_CMP_MASKED_EQ, kLow32, request));
    }
  }
  if (error == 0) error = RefuseFamilies(context, SCMP_SYS(socket));
  if (error == 0) error = RefuseFamilies(context, SCMP_SYS(socketpair));
  return error;
}

}  // namespace

std::string SeccompProgram(std::string* error) {
  const std::unique_ptr<void, Release> context(seccomp_init(SCMP_ACT_ALLOW));
  const base::UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  int failed = context == nullptr || !file.valid() ? -ENOMEM : AddRules(context.get());
  if (failed == 0) failed = seccomp_export_bpf(context.get(), file.get());
  if (failed != 0) {
    *error = std::string("libseccomp: ") + strerror(-failed);
    return "";
  }
  const off_t size = lseek(file.get(), 0, SEEK_END);
  std::string program(static_cast<size_t>(size), '\0');
  if (pread(file.get(), program.data(), program.size(), 0) == size) return program;
  *error = std::string("libseccomp: ") + strerror(errno);
  return "";
}

}  // namespace boxkeeper::launcher
