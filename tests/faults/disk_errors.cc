// Preloaded into the daemon (LD_PRELOAD): lets calls on files fail while a plan says so.
//
// BOXKEEPER_DISK_ERRORS names the plan, which a test writes and removes at any time. Its lines are
// "<call> <errno> <end of the file's path>", e.g. "fdatasync 5 /state.db-wal"; the calls are
// fdatasync, fsync, pwrite and ftruncate. Each failure is appended to "<plan>.done".
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

// By raw system calls: what is called here must not come back to us.
std::string ReadPlan(const char* path) {
  char buffer[4096];
  const auto fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return "";
  const ssize_t got = read(fd, buffer, sizeof(buffer));
  close(fd);
  return {buffer, static_cast<size_t>(got > 0 ? got : 0)};
}

void Note(const std::string& plan_path, const std::string& what) {
  const std::string path = plan_path + ".done";
  const auto fd = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (fd < 0) return;
  const std::string line = what + "\n";
  (void)!write(fd, line.data(), line.size());
  close(fd);
}

// The errno with which `call` on `fd` is to fail; 0: it is not.
int Planned(const char* call, int fd) {
  static const char* const plan_path = getenv("BOXKEEPER_DISK_ERRORS");
  if (plan_path == nullptr) return 0;
  const std::string plan = ReadPlan(plan_path);
  if (plan.empty()) return 0;
  char link[64];
  char file[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, file, sizeof(file));
  const std::string_view path(file, static_cast<size_t>(length > 0 ? length : 0));
  for (size_t at = 0; at < plan.size();) {
    const size_t end = std::min(plan.find('\n', at), plan.size());
    const std::string line = plan.substr(at, end - at);
    at = end + 1;
    char name[32];
    char suffix[1024];
    int error = 0;
    if (sscanf(line.c_str(), "%31s %d %1023s", name, &error, suffix) != 3) continue;
    if (strcmp(name, call) != 0 || !path.ends_with(suffix)) continue;
    Note(plan_path, line);
    return error;
  }
  return 0;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int fdatasync(int fd) {
  static auto* const real = Real<int(int)>("fdatasync");
  if (const int error = Planned("fdatasync", fd)) return errno = error, -1;
  return real(fd);
}

int fsync(int fd) {
  static auto* const real = Real<int(int)>("fsync");
  if (const int error = Planned("fsync", fd)) return errno = error, -1;
  return real(fd);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  if (const int error = Planned("pwrite", fd)) return errno = error, -1;
  return real(fd, data, size, offset);
}

// What <unistd.h> calls where off_t is 64 bits by name.
ssize_t pwrite64(int fd, const void* data, size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}

int ftruncate(int fd, off_t size) noexcept {
  static auto* const real = Real<int(int, off_t)>("ftruncate");
  if (const int error = Planned("ftruncate", fd)) return errno = error, -1;
  return real(fd, size);
}

}  // extern "C"
