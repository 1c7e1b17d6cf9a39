#include "launcher/isolation/bubblewrap.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace boxkeeper::launcher {
namespace {

// Sizes of what is in memory, and so counts as the sandbox's. Without disk_mb /tmp has room for
// what programs put there unasked, and a task that forgets to clean up does not take the host's.
constexpr uint64_t kTmpBytes = uint64_t{512} << 20;
constexpr uint64_t kRunBytes = uint64_t{16} << 20;
constexpr uint64_t kDevBytes = 64 << 10;

// What a root holds besides its own: made by us, or better not there.
constexpr const char* kOwnEntries[] = {"dev", "proc", "sys", "run", "tmp", "work"};
constexpr const char* kProgramEntries[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};

using Arguments = std::vector<std::string>;

void Add(Arguments* argv, std::initializer_list<std::string> more) {
  argv->insert(argv->end(), more);
}

std::string LinkTarget(const std::string& path) {
  char target[4096];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length <= 0 || length == sizeof(target) ? ""
                                                 : std::string(target, static_cast<size_t>(length));
}

// `name` of `root` at the same place; a link as a link, since what it names is judged inside.
void AddEntry(const std::string& root, const std::string& name, Arguments* argv) {
  const std::string path = root + "/" + name;
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return;
  if (S_ISLNK(status.st_mode)) {
    const std::string target = LinkTarget(path);
    if (!target.empty()) Add(argv, {"--symlink", target, "/" + name});
  } else if (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)) {
    Add(argv, {"--ro-bind", path, "/" + name});
  }
}

void AddHostPrograms(const BubblewrapRequest& request, Arguments* argv) {
  Add(argv, {"--ro-bind", "/usr", "/usr"});
  for (const char* name : kProgramEntries) AddEntry("", name, argv);
  Add(argv, {"--ro-bind", request.host->etc_path(), "/etc", "--dir", "/var", "--symlink", "../tmp",
             "/var/tmp"});
}

bool AddImage(const std::string& root, Arguments* argv, std::string* error) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(root.c_str()), closedir);
  if (directory == nullptr) {
    *error = "image root '" + root + "': " + std::strerror(errno);
    return false;
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    const bool own =
        std::find(std::begin(kOwnEntries), std::end(kOwnEntries), name) != std::end(kOwnEntries);
    if (name != "." && name != ".." && !own) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) AddEntry(root, name, argv);
  return true;
}

void AddNamespaces(const BubblewrapRequest& request, Arguments* argv) {
  if (request.host->user_namespace() >= 0) {
    // Root's: the first process becomes the sandbox's user, and drops these.
    Add(argv, {"--userns", std::to_string(request.host->user_namespace()), "--cap-drop", "ALL",
               "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"});
  } else {
    Add(argv, {"--unshare-user", "--cap-drop", "ALL"});
  }
  Add(argv, {"--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts",
             "--unshare-cgroup-try", "--hostname", "sandbox"});
  if (!request.isolation->host_network) Add(argv, {"--unshare-net"});
  Add(argv, {"--new-session", "--die-with-parent", "--clearenv", "--seccomp",
             std::to_string(request.filter)});
}

void AddKernelFiles(Arguments* argv) {
  Add(argv, {"--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"});
  Add(argv, {"--size", std::to_string(kDevBytes), "--tmpfs", "/dev"});
  for (const char* device : kDevices) {
    const std::string path = std::string("/dev/") + device;
    Add(argv, {"--dev-bind", path, path});
  }
  Add(argv, {"--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/proc/self/fd/0", "/dev/stdin",
             "--symlink", "/proc/self/fd/1", "/dev/stdout", "--symlink", "/proc/self/fd/2",
             "/dev/stderr", "--symlink", "/tmp", "/dev/shm", "--remount-ro", "/dev"});
}

void AddWritable(const BubblewrapRequest& request, Arguments* argv) {
  const uint64_t tmp_bytes = request.disk_bytes > 0 ? request.disk_bytes : kTmpBytes;
  Add(argv, {"--size", std::to_string(tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp"});
  Add(argv, {"--size", std::to_string(kRunBytes), "--perms", "1777", "--tmpfs", kInsideRun,
             "--ro-bind", request.host->init_path(), kInsideInit});
  if (request.disk_bytes > 0) {
    // One file system for all that is writable, so that its size is the limit.
    Add(argv, {"--symlink", "tmp/work", kInsideWork});
  } else {
    Add(argv, {"--bind", request.work_path, kInsideWork});
  }
}

}  // namespace

bool OpenVolumes(const IsolationSpec& isolation, std::vector<base::UniqueFd>* volumes,
                 std::string* error) {
  for (const Volume& volume : isolation.volumes) {
    const base::UniqueFd top(open(volume.beneath.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const bool below =
        volume.source == volume.beneath ||
        volume.source.starts_with(volume.beneath == "/" ? "/" : volume.beneath + "/");
    std::string rest = below ? volume.source.substr(volume.beneath.size()) : "";
    rest.erase(0, std::min(rest.find_first_not_of('/'), rest.size()));
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    errno = below ? 0 : EXDEV;
    if (below && top.valid()) {
      volumes->emplace_back(static_cast<int>(
          syscall(SYS_openat2, top.get(), rest.empty() ? "." : rest.c_str(), &how, sizeof(how))));
    }
    if (below && top.valid() && volumes->back().valid()) continue;
    *error = "volume '" + volume.source + "': " +
             (errno == EXDEV ? "it leads out of '" + volume.beneath + "'" : std::strerror(errno));
    return false;
  }
  return true;
}

bool BubblewrapArguments(const BubblewrapRequest& request, std::vector<std::string>* argv,
                         std::string* error) {
  Add(argv, {request.host->bwrap()});
  AddNamespaces(request, argv);
  if (request.isolation->root.empty()) {
    AddHostPrograms(request, argv);
  } else if (!AddImage(request.isolation->root, argv, error)) {
    return false;
  }
  // Not of the image: what names the host's network resolves is the host's business.
  const std::string resolv = request.isolation->root + "/etc/resolv.conf";
  if (request.isolation->host_network &&
      (request.isolation->root.empty() || access(resolv.c_str(), F_OK) == 0)) {
    Add(argv, {"--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"});
  }
  AddKernelFiles(argv);
  AddWritable(request, argv);
  for (size_t i = 0; i < request.volumes.size(); ++i) {
    const Volume& volume = request.isolation->volumes[i];
    // What bwrap makes above a mount unasked is its own user's only.
    for (size_t slash = volume.target.find('/', 1); slash != std::string::npos;
         slash = volume.target.find('/', slash + 1)) {
      Add(argv, {"--dir", volume.target.substr(0, slash)});
    }
    Add(argv, {volume.read_only ? "--ro-bind-fd" : "--bind-fd",
               std::to_string(request.volumes[i].get()), volume.target});
  }
  Add(argv, {"--remount-ro", "/", "--chdir", "/", "--", kInsideInit});
  return true;
}

}  // namespace boxkeeper::launcher
