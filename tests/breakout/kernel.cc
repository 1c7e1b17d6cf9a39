// The kernel's interfaces: those that change the machine, and those that its bugs are in.
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/quota.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tests/breakout/probe.h"

namespace boxkeeper::breakout {
namespace {

long MakeBpfMap() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));
}

long CountOwnInstructions() {
  perf_event_attr event{};
  event.type = PERF_TYPE_SOFTWARE;
  event.size = sizeof(event);
  event.config = PERF_COUNT_SW_TASK_CLOCK;
  event.exclude_kernel = 1;
  event.exclude_hv = 1;
  return syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}

long SetUpRing() {
  char parameters[256] = {};
  return syscall(SYS_io_uring_setup, 1, parameters);
}

long KeepTime() {
  timeval now{};
  gettimeofday(&now, nullptr);
  return settimeofday(&now, nullptr);
}

long AdjustClock() {
  timex adjustment{};
  adjustment.modes = ADJ_TICK;
  adjustment.tick = 10'000;
  return adjtimex(&adjustment);
}

long KeepHostName() {
  utsname name{};
  uname(&name);
  return sethostname(name.nodename, strlen(name.nodename));
}

long TakeCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {{~0u, ~0u, 0}, {0, 0, 0}};
  return syscall(SYS_capset, &header, data);
}

// getpid by the 32-bit gate: a filter that looks at 64-bit numbers only would not see it.
long CallThroughInt80() {
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
  if (result >= 0) return 0;
  errno = static_cast<int>(-result);
  return -1;
}

long CallThroughX32() {
  constexpr long kX32 = 0x40000000;
  return syscall(kX32 | SYS_getpid);
}

}  // namespace

void TryKernel(const Host& host) {
  const auto attempt = [&host](const char* name, const std::function<long()>& what) {
    Try(host, name, Harm::kIfAllowed, what);
  };
  Try(host, "bpf", Harm::kNone, MakeBpfMap);
  Try(host, "perf_event", Harm::kNone, CountOwnInstructions);
  Try(host, "userfaultfd", Harm::kNone, [] { return syscall(SYS_userfaultfd, 1 /* user mode */); });
  Try(host, "io_uring", Harm::kNone, SetUpRing);
  Try(host, "add_key", Harm::kNone,
      [] { return syscall(SYS_add_key, "user", "bk-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING); });
  Try(host, "request_key", Harm::kNone, [] {
    const long key = syscall(SYS_request_key, "user", "bk-none", nullptr, 0);
    return key < 0 && errno == ENOKEY ? 0 : key;  // it looked, and there is none
  });
  Try(host, "keyctl", Harm::kNone,
      [] { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1); });
  Try(host, "call_by_int80", Harm::kNone, CallThroughInt80);
  Try(host, "call_by_x32", Harm::kNone, CallThroughX32);
  attempt("kexec_load", [] { return syscall(SYS_kexec_load, 0, 0, nullptr, 0); });
  attempt("kexec_file_load", [] { return syscall(SYS_kexec_file_load, -1, -1, 0, nullptr, 0); });
  attempt("init_module", [] { return syscall(SYS_init_module, "x", 1, ""); });
  attempt("finit_module", [] { return syscall(SYS_finit_module, -1, "", 0); });
  attempt("delete_module", [] { return syscall(SYS_delete_module, "bk-none", 0); });
  attempt("reboot", [] {
    return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF,
                   nullptr);
  });
  attempt("swapon", [] { return swapon("/bk-none", 0); });
  attempt("swapoff", [] { return swapoff("/bk-none"); });
  attempt("settimeofday", KeepTime);
  attempt("clock_settime", [] {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return clock_settime(CLOCK_REALTIME, &now);
  });
  attempt("adjtimex", AdjustClock);
  attempt("sethostname", KeepHostName);
  attempt("iopl", [] { return iopl(3); });
  attempt("ioperm", [] { return ioperm(0x80, 1, 1); });
  attempt("acct", [] { return acct("/bk-none"); });
  attempt("quotactl", [] { return quotactl(QCMD(Q_SYNC, USRQUOTA), nullptr, 0, nullptr); });
  attempt("read_kernel_ring_buffer", [] {
    char buffer[16];
    return klogctl(3 /* SYSLOG_ACTION_READ_ALL */, buffer, sizeof(buffer));
  });
  attempt("vhangup", [] { return vhangup(); });
  attempt("take_capabilities", TakeCapabilities);
  attempt("become_another_user", [] { return syscall(SYS_setresuid, 12345, 12345, 12345); });
  attempt("become_another_group", [] { return syscall(SYS_setresgid, 12345, 12345, 12345); });
  attempt("join_groups", [] {
    const gid_t group = 12345;
    return syscall(SYS_setgroups, 1, &group);
  });
}

}  // namespace boxkeeper::breakout
