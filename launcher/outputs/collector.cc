#include "launcher/outputs/collector.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include "base/core/file_io.h"
#include "base/core/outputs_format.h"
#include "base/core/proc.h"
#include "base/core/unique_fd.h"
#include "launcher/outputs/output_stream.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kReadBytes = 128 * 1024;
// Names that are looked at, so that a task cannot keep us walking.
constexpr uint64_t kEntriesMax = 200'000;
// What a directory may hold to be walked: its names are sorted in memory.
constexpr size_t kNamesMax = 100'000;

using Parts = std::vector<std::string>;

bool IsGlob(const std::string& part) { return part.find_first_of("*?[\\") != std::string::npos; }

// Files that the kernel makes up: they have no end, or no size, or nothing of the task in them.
bool IsMadeUp(int fd) {
  struct statfs status{};
  if (fstatfs(fd, &status) != 0) return true;
  constexpr long kMadeUp[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,    CGROUP_SUPER_MAGIC,
                              CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
                              SECURITYFS_MAGIC,    BPF_FS_MAGIC,   DEVPTS_SUPER_MAGIC,
                              BINFMTFS_MAGIC,      PSTOREFS_MAGIC, EFIVARFS_MAGIC};
  return std::find(std::begin(kMadeUp), std::end(kMadeUp), static_cast<long>(status.f_type)) !=
         std::end(kMadeUp);
}

class Collector {
 public:
  Collector(const CollectRequest& request, int out) : request_(request), out_(out) {}

  bool Run() {
    for (const std::string& pattern : request_.patterns) {
      if (stopped_) break;
      Collect(pattern);
    }
    return Write(EncodeFrame(OutputWord::kDone, ""));
  }

 private:
  void Collect(const std::string& pattern);
  // Matches `parts[from..]` below `directory`, whose path is `label`.
  void Walk(int directory, const std::string& label, const Parts& parts, size_t from, size_t depth);
  void Visit(int directory, const std::string& label, const std::string& name, const Parts& parts,
             size_t from, size_t depth);
  void Take(int directory, const std::string& label, const std::string& name, size_t depth);
  void TakeAll(int directory, const std::string& label, size_t depth);
  void TakeFile(int handle, const struct stat& status, const std::string& path);
  bool Names(int directory, const std::string& label, Parts* names);
  base::UniqueFd OpenDirectory(int directory, const std::string& name) const;
  base::UniqueFd OpenHandle(int directory, const std::string& name) const;
  bool MayGoOn();
  void Skip(const std::string& path, const std::string& why);
  bool Write(const std::string& frame);

  const CollectRequest& request_;
  const int out_;
  std::set<std::string> taken_;
  uint64_t bytes_ = 0;
  uint64_t entries_ = 0;
  bool stopped_ = false;  // nothing more is looked at
  bool broken_ = false;   // nobody reads `out_` any more
  bool matched_ = false;  // the pattern in work, anything
  dev_t device_ = 0;
};

std::string Join(const std::string& label, const std::string& name) {
  return label.empty() || label == "/" ? label + name : label + "/" + name;
}

bool Collector::Write(const std::string& frame) {
  if (broken_) return false;
  broken_ = base::WriteAll(out_, frame) != 0;
  stopped_ = stopped_ || broken_;
  return !broken_;
}

void Collector::Skip(const std::string& path, const std::string& why) {
  const std::string text = "'" + path.substr(0, 256) + "': " + why;
  Write(EncodeFrame(OutputWord::kSkip, text.substr(0, base::kOutputNoteBytesMax)));
}

bool Collector::MayGoOn() {
  if (stopped_) return false;
  std::string why;
  if (++entries_ > kEntriesMax) why = "more than " + std::to_string(kEntriesMax) + " names";
  if (base::BootNs() >= request_.deadline_boot_ns) why = "the time for collecting is over";
  if (why.empty()) return true;
  Write(EncodeFrame(OutputWord::kSkip, "the rest: " + why));
  stopped_ = true;
  return false;
}

void Collector::Collect(const std::string& pattern) {
  Parts parts = base::SplitOutputPattern(pattern);
  const bool absolute = pattern[0] == '/';
  matched_ = false;
  base::UniqueFd root;
  std::string label;
  if (absolute && request_.beneath_workdir) {
    const Parts above = base::SplitOutputPattern(request_.workdir_name);
    if (above.empty() || parts.size() < above.size() ||
        !std::equal(above.begin(), above.end(), parts.begin())) {
      return Skip(pattern, "the sandbox is gone, only its work directory is left");
    }
    parts.erase(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(above.size()));
    root = OpenDirectory(request_.workdir, ".");
    label = request_.workdir_name;
  } else if (absolute) {
    // Whoever wrote the fixed part meant what it leads to, as the command's own rights see it.
    label = "/";
    std::string fixed = "/";
    size_t count = 0;
    while (count + 1 < parts.size() && !IsGlob(parts[count])) fixed = Join(fixed, parts[count++]);
    root.Reset(open(fixed.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return Skip(pattern, std::strerror(errno));
    parts.erase(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(count));
    label = fixed;
  } else {
    root = OpenDirectory(request_.workdir, ".");
  }
  struct stat status{};
  if (!root.valid() || fstat(root.get(), &status) != 0) return Skip(pattern, std::strerror(errno));
  device_ = status.st_dev;
  if (parts.empty()) {
    TakeAll(root.get(), label, 0);
  } else {
    Walk(root.get(), label, parts, 0, 0);
  }
  if (!matched_) Skip(pattern, "matches nothing");
}

base::UniqueFd Collector::OpenDirectory(int directory, const std::string& name) const {
  base::UniqueFd fd(
      openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (fd.valid() && request_.beneath_workdir && device_ != 0 &&
      (fstat(fd.get(), &status) != 0 || status.st_dev != device_)) {
    errno = EXDEV;
    return base::UniqueFd();
  }
  return fd;
}

// Opens nothing: no side effect of a device, no wait at a FIFO.
base::UniqueFd Collector::OpenHandle(int directory, const std::string& name) const {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  if (request_.beneath_workdir) how.resolve |= RESOLVE_NO_XDEV;
  // A last component that is a link is given as the link.
  return base::UniqueFd(
      static_cast<int>(syscall(SYS_openat2, directory, name.c_str(), &how, sizeof(how))));
}

bool Collector::Names(int directory, const std::string& label, Parts* names) {
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy < 0 ? nullptr : fdopendir(copy), closedir);
  if (entries == nullptr) {
    if (copy >= 0) close(copy);
    Skip(label, std::strerror(errno));
    return false;
  }
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names->size() == kNamesMax) {
      Skip(label, "has more than " + std::to_string(kNamesMax) + " names");
      return false;
    }
    names->emplace_back(name);
  }
  std::sort(names->begin(), names->end());
  return true;
}

void Collector::Walk(int directory, const std::string& label, const Parts& parts, size_t from,
                     size_t depth) {
  if (!MayGoOn()) return;
  if (depth > base::kOutputDepthMax) return Skip(label, "too deep");
  const std::string& part = parts[from];
  if (!IsGlob(part)) return Visit(directory, label, part, parts, from, depth);
  Parts names;
  if (!Names(directory, label, &names)) return;
  if (part == "**") {
    // No directory at all; the last one stands for everything.
    if (from + 1 < parts.size()) Walk(directory, label, parts, from + 1, depth);
    for (const std::string& name : names) {
      if (!MayGoOn()) return;
      if (name[0] == '.') continue;
      if (from + 1 == parts.size()) {
        Take(directory, label, name, depth + 1);
      } else if (const base::UniqueFd below = OpenDirectory(directory, name); below.valid()) {
        Walk(below.get(), Join(label, name), parts, from, depth + 1);
      }
    }
    return;
  }
  for (const std::string& name : names) {
    if (!MayGoOn()) return;
    if (fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    Visit(directory, label, name, parts, from, depth);
  }
}

void Collector::Visit(int directory, const std::string& label, const std::string& name,
                      const Parts& parts, size_t from, size_t depth) {
  if (from + 1 == parts.size()) return Take(directory, label, name, depth + 1);
  const base::UniqueFd below = OpenDirectory(directory, name);
  if (below.valid()) Walk(below.get(), Join(label, name), parts, from + 1, depth + 1);
}

void Collector::Take(int directory, const std::string& label, const std::string& name,
                     size_t depth) {
  const std::string path = Join(label, name);
  const base::UniqueFd handle = OpenHandle(directory, name);
  struct stat status{};
  if (!handle.valid() || fstat(handle.get(), &status) != 0) {
    if (errno == ENOENT) return;
    matched_ = true;
    return Skip(path, std::strerror(errno));
  }
  matched_ = true;
  if (S_ISREG(status.st_mode)) return TakeFile(handle.get(), status, path);
  if (S_ISLNK(status.st_mode)) return Skip(path, "is a symbolic link");
  if (!S_ISDIR(status.st_mode)) return Skip(path, "is no regular file");
  if (depth > base::kOutputDepthMax) return Skip(path, "too deep");
  const base::UniqueFd below = OpenDirectory(directory, name);
  if (!below.valid()) return Skip(path, std::strerror(errno));
  TakeAll(below.get(), path, depth);
}

void Collector::TakeAll(int directory, const std::string& label, size_t depth) {
  Parts names;
  if (!Names(directory, label, &names)) return;
  for (const std::string& name : names) {
    if (!MayGoOn()) return;
    Take(directory, label, name, depth + 1);
  }
}

void Collector::TakeFile(int handle, const struct stat& status, const std::string& path) {
  if (taken_.contains(path)) return;
  if (!base::IsOutputPath(path))
    return Skip(path, "its name is not UTF-8 or has control characters");
  const auto size = static_cast<uint64_t>(std::max<off_t>(0, status.st_size));
  if (taken_.size() >= request_.files_max) {
    return Skip(path, "more than " + std::to_string(request_.files_max) + " files");
  }
  if (size > request_.bytes_max - bytes_) {
    return Skip(path, "with its " + std::to_string(size) + " bytes the outputs are above " +
                          std::to_string(request_.bytes_max));
  }
  if (IsMadeUp(handle)) return Skip(path, "is made up by the kernel");
  // The very file that was looked at, whatever has that name by now.
  const base::UniqueFd file(
      open(("/proc/self/fd/" + std::to_string(handle)).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) return Skip(path, std::strerror(errno));
  const uint64_t modified = static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                            static_cast<uint64_t>(status.st_mtim.tv_nsec);
  if (!Write(EncodeFileFrame(status.st_mode & 0777, modified, path))) return;
  taken_.insert(path);
  std::string buffer(kReadBytes, '\0');
  for (uint64_t left = size; left > 0;) {
    const ssize_t got = read(file.get(), buffer.data(), std::min<uint64_t>(left, buffer.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) break;  // it has been cut since
    const bool late = base::BootNs() >= request_.deadline_boot_ns;
    if (got < 0 || late) {
      Write(EncodeFrame(OutputWord::kDrop,
                        "'" + path.substr(0, 256) + "': " +
                            (late ? "the time for collecting is over" : std::strerror(errno))));
      return;
    }
    if (!Write(EncodeFrame(OutputWord::kData,
                           std::string_view(buffer).substr(0, static_cast<size_t>(got))))) {
      return;
    }
    left -= static_cast<uint64_t>(got);
    bytes_ += static_cast<uint64_t>(got);
  }
  Write(EncodeFrame(OutputWord::kEnd, ""));
}

}  // namespace

bool CollectOutputs(const CollectRequest& request, int out) {
  return Collector(request, out).Run();
}

}  // namespace boxkeeper::launcher
