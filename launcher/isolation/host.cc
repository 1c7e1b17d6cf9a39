#include "launcher/isolation/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/core/file_io.h"
#include "base/core/proc.h"
#include "launcher/isolation/etc_tree.h"
#include "launcher/isolation/isolated_command.h"
#include "launcher/seccomp_filter.h"

namespace boxkeeper::launcher {
namespace {

constexpr char kFolder[] = "isolation";
constexpr std::string_view kFilesPrefix = "files.";
// Whom tasks run as that root's launcher is told no user for.
constexpr uid_t kNobody = 65534;

std::string Describe(const std::string& what) { return what + ": " + std::strerror(errno); }

// The map of our own namespace, each user as itself.
std::string IdentityMap(const char* path) {
  std::string text;
  if (base::ReadFileAt(-1, path, 4096, &text) != 0) return "";
  std::string map;
  const char* at = text.c_str();
  for (char* end = nullptr;; at = end) {
    const unsigned long inside = strtoul(at, &end, 10);
    if (end == at) return map;
    strtoul(end, &end, 10);
    const unsigned long count = strtoul(end, &end, 10);
    const std::string first = std::to_string(inside);
    map.append(first).append(" ").append(first).append(" ");
    map.append(std::to_string(count)).append("\n");
  }
}

bool WriteMap(pid_t pid, const char* name, const std::string& map) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && write(fd.get(), map.data(), map.size()) == static_cast<ssize_t>(map.size());
}

}  // namespace

void IsolationHost::Prepare(const std::string& launch_path, int launch_directory) {
  std::string error;
  if (Find(&error) && MakeFilter(&error) && MakeUserNamespace(&error) &&
      MakeFiles(launch_path, launch_directory, &error) && Try(&error)) {
    ability_ = {.how = bwrap_, .why_not = ""};
  } else {
    ability_ = {.how = "", .why_not = error};
  }
}

std::vector<int> IsolationHost::descriptors() const {
  std::vector<int> all;
  if (filter_.valid()) all.push_back(filter_.get());
  if (user_namespace_.valid()) all.push_back(user_namespace_.get());
  return all;
}

Account IsolationHost::DefaultAccount(const Account& self) const {
  if (self.uid != 0) return self;
  Account nobody;
  nobody.uid = kNobody;
  nobody.gid = kNobody;
  nobody.name = "nobody";
  return nobody;
}

base::UniqueFd IsolationHost::OpenFilter() const {
  const std::string path = "/proc/self/fd/" + std::to_string(filter_.get());
  return base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

bool IsolationHost::Find(std::string* error) {
  for (const char* path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"}) {
    if (access(path, X_OK) != 0) continue;
    bwrap_ = path;
    return true;
  }
  *error = "bubblewrap is not installed (no bwrap in /usr/bin, /usr/local/bin)";
  return false;
}

// In a child: libseccomp takes 9 MiB for it, and what the launcher has ever held is in the
// footprint of each supervisor.
bool IsolationHost::MakeFilter(std::string* error) {
  filter_.Reset(memfd_create("boxkeeper-seccomp", MFD_CLOEXEC));
  const pid_t child = filter_.valid() ? fork() : -1;
  if (child == 0) {
    std::string why;
    const std::string program = SeccompProgram(&why);
    // A program, or words.
    const bool written = base::WriteAll(filter_.get(), program.empty() ? why : program) == 0;
    _exit(written && !program.empty() ? 0 : 1);
  }
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0) return true;
  *error = Describe("seccomp filter");
  if (child < 0) return false;
  char words[256];
  const ssize_t length = pread(filter_.get(), words, sizeof(words), 0);
  *error = "seccomp filter: " + std::string(words, length > 0 ? static_cast<size_t>(length) : 0);
  return false;
}

// bwrap maps one user only, so root's sandboxes would run as the host's root: without capabilities,
// but root writes to /proc/sys all the same. In a namespace of ours each user is itself, bwrap sets
// up as root, and the init becomes another user before it runs anything.
bool IsolationHost::MakeUserNamespace(std::string* error) {
  if (geteuid() != 0) return true;
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    *error = Describe("user namespace");
    return false;
  }
  base::UniqueFd read_end(ready[0]);
  base::UniqueFd write_end(ready[1]);
  const pid_t child = fork();
  if (child == 0) {
    const int made = unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
    (void)!write(write_end.get(), &made, sizeof(made));
    for (;;) pause();
  }
  int made = EAGAIN;
  if (child > 0) (void)!read(read_end.get(), &made, sizeof(made));
  errno = made;
  bool good = child > 0 && made == 0 &&
              WriteMap(child, "uid_map", IdentityMap("/proc/self/uid_map")) &&
              WriteMap(child, "gid_map", IdentityMap("/proc/self/gid_map"));
  if (good) {
    const std::string path = "/proc/" + std::to_string(child) + "/ns/user";
    user_namespace_.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    good = user_namespace_.valid();
  }
  if (!good) *error = Describe("no new user namespace can be made here");
  if (child > 0) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  return good;
}

// The init is a copy of this very program, whatever becomes of the file that it was started from.
bool IsolationHost::MakeFiles(const std::string& launch_path, int launch_directory,
                              std::string* error) {
  directory_ = launch_path + "/" + kFolder;
  if (mkdirat(launch_directory, kFolder, 0711) != 0 && errno != EEXIST) {
    *error = Describe("isolation folder");
    return false;
  }
  directory_fd_.Reset(
      openat(launch_directory, kFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const int folder = directory_fd_.get();
  if (!directory_fd_.valid() || !CopyFile(AT_FDCWD, "/proc/self/exe", folder, "init.new", 0755) ||
      renameat(folder, "init.new", folder, "init") != 0) {
    *error = Describe("copy of boxlaunch for sandboxes");
    return false;
  }
  files_ = std::string(kFilesPrefix) + std::to_string(base::UnixNs());
  const base::UniqueFd files =
      mkdirat(folder, files_.c_str(), 0711) == 0
          ? base::UniqueFd(openat(folder, files_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
          : base::UniqueFd();
  if (!files.valid() || !MakeEtcTree(files.get(), "etc")) {
    *error = Describe("the sandboxes' /etc");
    return false;
  }
  return true;
}

void IsolationHost::RemoveOldFiles() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(dup(directory_fd_.get())), closedir);
  std::vector<std::string> old;
  while (const dirent* entry = listing == nullptr ? nullptr : readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(kFilesPrefix) && name != files_) old.emplace_back(name);
  }
  for (const std::string& name : old) base::RemoveTreeAt(directory_fd_.get(), name);
}

bool IsolationHost::Try(std::string* error) const {
  LaunchSpec spec;
  spec.command.argv = {"/bin/true"};
  spec.isolation.kind = IsolationKind::kBubblewrap;
  const base::UniqueFd memfd = MakeSealedMemfd(EncodeLaunchSpec(spec));
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  Account self;
  self.uid = geteuid();
  self.gid = getegid();
  self.name = "self";
  IsolatedRequest request;
  request.host = this;
  request.spec = &spec;
  request.memfd = memfd.get();
  request.stdin_fd = request.stdout_fd = request.stderr_fd = null.get();
  request.account = DefaultAccount(self);
  request.work_path = etc_path();
  request.sandbox_id = "probe";
  getrlimit(RLIMIT_NOFILE, &request.open_files);
  IsolatedCommand command;
  if (!command.Spawn(request, error)) return false;
  const std::optional<InitReport> first = command.AwaitStart();
  waitpid(command.pid(), nullptr, 0);
  if (first && first->word == InitWord::kStarted) return true;
  const std::string complaint = command.Complaint();
  *error = "bubblewrap cannot make its namespaces here: ";
  if (first) {
    *error += first->text +
              (first->value != 0 ? std::string(": ") + std::strerror(first->value) : std::string());
  } else {
    *error += complaint.empty() ? "it ended without a word" : complaint;
  }
  return false;
}

}  // namespace boxkeeper::launcher
