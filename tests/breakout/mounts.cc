// Mounts, roots and namespaces.
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/breakout/probe.h"

namespace boxkeeper::breakout {
namespace {

constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE of <linux/fcntl.h>

// <sys/mount.h> and <linux/mount.h> do not go together.
long Mount(const char* source, const char* target, const char* type, unsigned long flags) {
  return syscall(SYS_mount, source, target, type, flags, nullptr);
}

long CloneWith(unsigned long flags) {
  const long child = syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) _exit(0);
  if (child > 0) waitpid(static_cast<pid_t>(child), nullptr, 0);
  return child;
}

long Clone3With(unsigned long long flags) {
  clone_args arguments{};
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  const long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) _exit(0);
  if (child > 0) waitpid(static_cast<pid_t>(child), nullptr, 0);
  return child;
}

long Join(const char* ns) {
  const int fd = open(ns, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : setns(fd, 0);
}

}  // namespace

void TryMounts(const Host& host) {
  const auto attempt = [&host](const char* name, const std::function<long()>& what) {
    Try(host, name, Harm::kIfAllowed, what);
  };
  attempt("mount_tmpfs", [] { return Mount("none", "/tmp", "tmpfs", 0); });
  attempt("mount_proc", [] { return Mount("proc", "/proc", "proc", 0); });
  attempt("bind_mount", [] { return Mount("/", "/tmp", nullptr, MS_BIND | MS_REC); });
  attempt("remount_root_writable",
          [] { return Mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND); });
  attempt("share_mounts", [] { return Mount(nullptr, "/", nullptr, MS_SHARED | MS_REC); });
  attempt("umount_proc", [] { return syscall(SYS_umount2, "/proc", 2 /* MNT_DETACH */); });
  attempt("umount_root", [] { return syscall(SYS_umount2, "/", 2); });
  attempt("pivot_root", [] { return syscall(SYS_pivot_root, "/tmp", "/tmp"); });
  attempt("chroot", [] { return chroot("/tmp"); });
  attempt("open_tree",
          [] { return syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | kRecursive); });
  attempt("fsopen", [] { return syscall(SYS_fsopen, "tmpfs", 0); });
  attempt("fspick", [] { return syscall(SYS_fspick, AT_FDCWD, "/", 0); });
  attempt("fsmount", [] { return syscall(SYS_fsmount, -1, 0, 0); });
  attempt("move_mount",
          [] { return syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0); });
  attempt("mount_setattr", [] {
    mount_attr attributes{};
    attributes.attr_clr = MOUNT_ATTR_RDONLY;
    return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof(attributes));
  });
  attempt("unshare_user", [] { return unshare(CLONE_NEWUSER); });
  attempt("unshare_mount", [] { return unshare(CLONE_NEWNS); });
  attempt("unshare_network", [] { return unshare(CLONE_NEWNET); });
  attempt("unshare_pid", [] { return unshare(CLONE_NEWPID); });
  attempt("unshare_user_and_mount", [] { return unshare(CLONE_NEWUSER | CLONE_NEWNS); });
  attempt("clone_user", [] { return CloneWith(CLONE_NEWUSER); });
  attempt("clone_mount", [] { return CloneWith(CLONE_NEWNS); });
  attempt("clone3_user", [] { return Clone3With(CLONE_NEWUSER); });
  attempt("join_own_user_namespace", [] { return Join("/proc/self/ns/user"); });
  attempt("join_own_mount_namespace", [] { return Join("/proc/self/ns/mnt"); });
  attempt("join_network_of_init", [] { return Join("/proc/1/ns/net"); });
}

}  // namespace boxkeeper::breakout
