// The host's files, and the sandbox's own that must not change.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/breakout/probe.h"

namespace boxkeeper::breakout {
namespace {

long CanCreate(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  close(fd);
  unlink(path.c_str());
  return 0;
}

long CanConnect(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (fd < 0 || path.size() >= sizeof(address.sun_path)) return -1;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

long Mknod(dev_t device, mode_t type) {
  const std::string path = "bk-device";
  const int made = mknod(path.c_str(), type | 0666, device);
  if (made == 0) unlink(path.c_str());
  return made;
}

long OpenByHandle() {
  alignas(file_handle) char bytes[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(bytes);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  // What the "shocker" exploit did: a handle of the file system's root, made by hand.
  if (name_to_handle_at(AT_FDCWD, "/", handle, &mount, 0) != 0) {
    handle->handle_bytes = 8;
    handle->handle_type = 1;
    bytes[sizeof(file_handle)] = 2;
  }
  const int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return open_by_handle_at(root, handle, O_RDONLY);
}

// Up as far as it goes, then back down by the host's names.
long ClimbTo(const std::string& path) {
  std::string up;
  for (int i = 0; i < 40; ++i) up += "../";
  return CanOpen(up + path.substr(1), O_RDONLY);
}

}  // namespace

void TryFiles(const Host& host) {
  const auto reads = [&host](const char* name, const std::string& path) {
    Try(host, name, Harm::kNone, [&path] { return CanOpen(path, O_RDONLY); });
  };
  const auto creates = [&host](const char* name, const std::string& path) {
    Try(host, name, Harm::kIfAllowed, [&path] { return CanCreate(path); });
  };
  const auto writes = [&host](const char* name, const std::string& path) {
    Try(host, name, Harm::kNone, [&path] { return CanOpen(path, O_WRONLY); });
  };
  reads("read_host_file", host.secret_file);
  Try(host, "climb_to_host_file", Harm::kNone, [&host] { return ClimbTo(host.secret_file); });
  reads("host_file_by_own_root", "/proc/self/root" + host.secret_file);
  reads("host_file_by_init_root", "/proc/1/root" + host.secret_file);
  reads("host_file_by_init_directory", "/proc/1/cwd" + host.secret_file);
  reads("read_shadow", "/etc/shadow");
  reads("read_home_of_root", "/root");
  reads("read_homes", "/home");
  reads("read_state_dir", host.state_dir);
  reads("read_identity_key", host.state_dir + "/identity");
  Try(host, "connect_launcher", Harm::kNone,
      [&host] { return CanConnect(host.state_dir + "/launch/launch.sock"); });
  Try(host, "connect_docker", Harm::kIfAllowed, [] { return CanConnect("/var/run/docker.sock"); });
  Try(host, "connect_system_bus", Harm::kIfAllowed,
      [] { return CanConnect("/run/dbus/system_bus_socket"); });

  creates("create_in_root", "/bk-new");
  creates("create_in_usr", "/usr/bk-new");
  creates("create_in_bin", "/bin/bk-new");
  creates("create_in_etc", "/etc/bk-new");
  creates("create_in_dev", "/dev/bk-new");
  creates("create_in_proc", "/proc/bk-new");
  Try(host, "make_usr_writable", Harm::kIfAllowed, [] { return chmod("/usr", 0777); });

  writes("write_core_pattern", "/proc/sys/kernel/core_pattern");
  writes("write_modprobe", "/proc/sys/kernel/modprobe");
  writes("write_hostname", "/proc/sys/kernel/hostname");
  writes("write_sysrq", "/proc/sysrq-trigger");
  reads("read_kernel_memory", "/proc/kcore");
  reads("read_kernel_log", "/proc/kmsg");
  reads("read_sys", "/sys/kernel");
  reads("open_dev_mem", "/dev/mem");
  reads("open_dev_kmsg", "/dev/kmsg");
  reads("open_dev_port", "/dev/port");
  reads("open_dev_fuse", "/dev/fuse");
  reads("open_dev_kvm", "/dev/kvm");
  reads("open_first_disk", "/dev/vda");
  Try(host, "make_disk_device", Harm::kIfAllowed, [] { return Mknod(makedev(254, 0), S_IFBLK); });
  Try(host, "make_memory_device", Harm::kIfAllowed, [] { return Mknod(makedev(1, 1), S_IFCHR); });
  Try(host, "open_by_handle", Harm::kIfAllowed, OpenByHandle);
  Try(host, "open_terminal", Harm::kIfAllowed, [] { return CanOpen("/dev/tty", O_RDWR); });
}

}  // namespace boxkeeper::breakout
