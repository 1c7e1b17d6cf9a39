#include "base/core/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "base/core/file_io.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::base {
namespace {

constexpr size_t kProcFileBytesMax = 4 << 20;

uint64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string ReadProc(pid_t pid, const char* name) {
  std::string bytes;
  ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + name, kProcFileBytesMax, &bytes);
  return bytes;
}

// The numeric names in a directory.
std::vector<pid_t> NumbersIn(const std::string& path) {
  std::vector<pid_t> numbers;
  DIR* entries = opendir(path.c_str());
  if (entries == nullptr) return numbers;
  while (const dirent* entry = readdir(entries)) {
    if (isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    numbers.push_back(static_cast<pid_t>(strtol(entry->d_name, nullptr, 10)));
  }
  closedir(entries);
  return numbers;
}

// The children by a walk over all processes, for kernels without CONFIG_PROC_CHILDREN.
std::vector<pid_t> ChildrenByScan(pid_t pid) {
  std::vector<pid_t> children;
  for (const pid_t candidate : AllPids()) {
    const std::optional<ProcStat> stat = ReadProcStat(candidate);
    if (stat && stat->parent == pid) children.push_back(candidate);
  }
  return children;
}

void AppendNumbers(std::string_view text, std::vector<pid_t>* numbers) {
  while (!text.empty()) {
    pid_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return;
    numbers->push_back(number);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
}

}  // namespace

uint64_t UnixNs() { return ClockNs(CLOCK_REALTIME); }
uint64_t BootNs() { return ClockNs(CLOCK_BOOTTIME); }

std::string BootId() {
  std::string id;
  ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 100, &id);
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::optional<ProcStat> ReadProcStat(pid_t pid) {
  const std::string text = ReadProc(pid, "stat");
  // The second field is the name in parentheses, and may itself hold any character.
  const size_t name_end = text.rfind(')');
  const size_t name_begin = text.find('(');
  if (name_end == std::string::npos || name_begin >= name_end) return std::nullopt;
  ProcStat stat;
  stat.pid = pid;
  stat.name = text.substr(name_begin + 1, name_end - name_begin - 1);
  // NOLINTNEXTLINE(cert-err34-c): the kernel wrote it.
  const int fields = sscanf(text.c_str() + name_end + 1,
                            " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                            "%*d %*d %lu",
                            &stat.state, &stat.parent, &stat.session, &stat.start_ticks);
  if (fields != 4) return std::nullopt;
  return stat;
}

std::vector<pid_t> AllPids() { return NumbersIn("/proc"); }

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task/";
  for (const pid_t thread : NumbersIn(tasks)) {
    std::string text;
    const int error = ReadFileAt(AT_FDCWD, tasks + std::to_string(thread) + "/children",
                                 kProcFileBytesMax, &text);
    // The thread directory is there and the file is not: the kernel does not offer it.
    if (error == ENOENT && access((tasks + std::to_string(thread)).c_str(), F_OK) == 0) {
      return ChildrenByScan(pid);
    }
    AppendNumbers(text, &children);
  }
  return children;
}

bool EnvironmentHas(pid_t pid, const std::string& entry) {
  const std::string environment = '\0' + ReadProc(pid, "environ");
  return environment.find('\0' + entry + '\0') != std::string::npos;
}

std::string ServiceCgroup(pid_t pid) {
  const std::string text = ReadProc(pid, "cgroup");
  for (const std::string_view hierarchy : {":name=systemd:", "0::"}) {
    size_t at = text.find(hierarchy);
    if (at == std::string::npos) continue;
    at = text.rfind('\n', at) + 1;
    return text.substr(at, text.find('\n', at) - at);
  }
  return {};
}

int OpenProcess(pid_t pid, uint64_t start_ticks) {
  UniqueFd pidfd(PidfdOpen(pid));
  if (!pidfd.valid()) return -1;
  // Read after the open: the pid cannot have changed hands between the two and still match.
  const std::optional<ProcStat> stat = ReadProcStat(pid);
  if (!stat || stat->start_ticks != start_ticks) return -1;
  return pidfd.Release();
}

int PidfdOpen(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

int PidfdSignal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ? 0 : errno;
}

}  // namespace boxkeeper::base
