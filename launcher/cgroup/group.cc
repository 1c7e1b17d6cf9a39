#include "launcher/cgroup/group.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "base/core/file_io.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
constexpr uint64_t kPeriodUs = 100'000;
// The kernel takes no quota below 1 ms, so small ones need its longest period.
constexpr uint64_t kLongPeriodUs = 1'000'000;
constexpr uint64_t kLongPeriodBelowMillis = 10;

// 0 or an errno value.
int WriteFile(const std::string& path, const std::string& text) {
  const base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  return base::WriteAll(fd.get(), text);
}

bool Set(const std::string& path, const std::string& text, std::string* error) {
  const int failed = WriteFile(path, text);
  if (failed != 0) *error = "write '" + text + "' to " + path + ": " + std::strerror(failed);
  return failed == 0;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::optional<uint64_t> ToNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::string text;
  if (base::ReadFileAt(AT_FDCWD, path, kFileBytesMax, &text) != 0) return std::nullopt;
  return ToNumber(text);
}

// The number after `key` in a file of lines "key number".
std::optional<uint64_t> ReadKey(const std::string& path, const std::string& key) {
  std::string text;
  if (base::ReadFileAt(AT_FDCWD, path, kFileBytesMax, &text) != 0) return std::nullopt;
  const std::string lines = "\n" + text;
  const size_t at = lines.find("\n" + key + " ");
  if (at == std::string::npos) return std::nullopt;
  return ToNumber(std::string_view(lines).substr(at + key.size() + 2));
}

std::optional<uint64_t> NsToUs(std::optional<uint64_t> ns) {
  if (ns) *ns /= 1'000;
  return ns;
}

std::vector<std::string> Below(const std::string& group) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(group.c_str()), closedir);
  while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// With what a command that may has made below it. False while something is in it.
bool RemoveGroup(const std::string& path) {
  if (rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  bool emptied = false;
  for (const std::string& name : Below(path)) {
    std::string below = path;
    below.append("/").append(name);
    emptied = RemoveGroup(below) || emptied;
  }
  return emptied && rmdir(path.c_str()) == 0;
}

void TakeFirst(std::optional<uint64_t>* to, std::optional<uint64_t> from) {
  if (!*to) *to = from;
}

// With the version of each.
std::map<std::string, int> Parents(const CgroupLayout& layout) {
  std::map<std::string, int> parents;
  for (const Controller* controller :
       {&layout.cpu, &layout.cpuacct, &layout.memory, &layout.pids}) {
    if (controller->usable()) parents[controller->parent] = controller->version;
  }
  return parents;
}

}  // namespace

const SandboxGroup::Group* SandboxGroup::Enter(const Controller& controller,
                                               const std::string& name, std::string* error) {
  if (!controller.usable()) {
    *error = controller.why_not;
    return nullptr;
  }
  const std::string path = controller.parent + "/" + name;
  for (const Group& group : groups_) {
    if (group.path == path) return &group;
  }
  if (mkdir(path.c_str(), 0755) != 0) {
    *error = "make cgroup " + path + ": " + std::strerror(errno);
    return nullptr;
  }
  groups_.push_back({.path = path, .version = controller.version});
  entries_.emplace_back(open((path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!entries_.back().valid()) {
    *error = "open " + path + "/cgroup.procs: " + std::strerror(errno);
    return nullptr;
  }
  return &groups_.back();
}

bool SandboxGroup::LimitCpu(const Group& group, uint64_t millis, std::string* error) {
  const uint64_t period = millis < kLongPeriodBelowMillis ? kLongPeriodUs : kPeriodUs;
  const std::string quota = std::to_string(millis * period / 1'000);
  if (group.version == 2) {
    return Set(group.path + "/cpu.max", quota + " " + std::to_string(period), error);
  }
  return Set(group.path + "/cpu.cfs_period_us", std::to_string(period), error) &&
         Set(group.path + "/cpu.cfs_quota_us", quota, error);
}

// Memory and swap together are `bytes`. Where the kernel does not account swap, there is no file
// for it, and memory alone is limited.
bool SandboxGroup::LimitMemory(const Group& group, uint64_t bytes, std::string* error) {
  const std::string text = std::to_string(bytes);
  if (group.version == 2) {
    // One process killed leaves the others in a state that nobody has thought of.
    WriteFile(group.path + "/memory.oom.group", "1");
    return Set(group.path + "/memory.max", text, error) &&
           (!Exists(group.path + "/memory.swap.max") ||
            Set(group.path + "/memory.swap.max", "0", error));
  }
  return Set(group.path + "/memory.limit_in_bytes", text, error) &&
         (!Exists(group.path + "/memory.memsw.limit_in_bytes") ||
          Set(group.path + "/memory.memsw.limit_in_bytes", text, error));
}

bool SandboxGroup::Create(const CgroupLayout& layout, const std::string& name,
                          const GroupLimits& limits, std::string* error) {
  bool made = true;
  if (limits.cpu_millis > 0) {
    const Group* group = Enter(layout.cpu, name, error);
    made = group != nullptr && LimitCpu(*group, limits.cpu_millis, error);
  }
  if (made && limits.memory_bytes > 0) {
    const Group* group = Enter(layout.memory, name, error);
    made = group != nullptr && LimitMemory(*group, limits.memory_bytes, error);
  }
  if (made && limits.pids > 0) {
    const Group* group = Enter(layout.pids, name, error);
    made = group != nullptr && Set(group->path + "/pids.max", std::to_string(limits.pids), error);
  }
  // For the CPU time, where it has a hierarchy of its own; only nice to have.
  std::string ignored;
  if (made && exists() && layout.cpuacct.usable()) Enter(layout.cpuacct, name, &ignored);
  if (!made) Remove();
  return made;
}

SandboxGroup SandboxGroup::Find(const CgroupLayout& layout, const std::string& name) {
  SandboxGroup found;
  for (const auto& [parent, version] : Parents(layout)) {
    std::string path = parent;
    path.append("/").append(name);
    if (Exists(path)) found.groups_.push_back({.path = path, .version = version});
  }
  return found;
}

std::vector<int> SandboxGroup::entries() const {
  std::vector<int> entries;
  for (const base::UniqueFd& fd : entries_) entries.push_back(fd.get());
  return entries;
}

GroupUsage SandboxGroup::Usage() const {
  GroupUsage usage;
  for (const auto& [path, version] : groups_) {
    if (version == 2) {
      TakeFirst(&usage.oom_kills, ReadKey(path + "/memory.events", "oom_kill"));
      TakeFirst(&usage.peak_memory_bytes, ReadNumber(path + "/memory.peak"));
      TakeFirst(&usage.cpu_user_us, ReadKey(path + "/cpu.stat", "user_usec"));
      TakeFirst(&usage.cpu_system_us, ReadKey(path + "/cpu.stat", "system_usec"));
    } else {
      TakeFirst(&usage.oom_kills, ReadKey(path + "/memory.oom_control", "oom_kill"));
      TakeFirst(&usage.peak_memory_bytes, ReadNumber(path + "/memory.max_usage_in_bytes"));
      TakeFirst(&usage.cpu_user_us, NsToUs(ReadNumber(path + "/cpuacct.usage_user")));
      TakeFirst(&usage.cpu_system_us, NsToUs(ReadNumber(path + "/cpuacct.usage_sys")));
    }
  }
  return usage;
}

std::vector<pid_t> SandboxGroup::Members() const {
  std::set<pid_t> members;
  for (const Group& group : groups_) {
    std::string text;
    base::ReadFileAt(AT_FDCWD, group.path + "/cgroup.procs", kFileBytesMax, &text);
    for (std::string_view left = text; !left.empty();) {
      if (const auto pid = ToNumber(left)) members.insert(static_cast<pid_t>(*pid));
      const size_t end = left.find('\n');
      left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
    }
  }
  return {members.begin(), members.end()};
}

void SandboxGroup::LiftCpu() const {
  for (const Group& group : groups_) {
    if (group.version == 2) {
      WriteFile(group.path + "/cpu.max", "max");
    } else {
      WriteFile(group.path + "/cpu.cfs_quota_us", "-1");
    }
  }
}

void SandboxGroup::Kill() const {
  LiftCpu();
  for (const Group& group : groups_) {
    if (group.version == 2) WriteFile(group.path + "/cgroup.kill", "1");
  }
}

bool SandboxGroup::Remove() {
  entries_.clear();
  std::erase_if(groups_, [](const Group& group) { return RemoveGroup(group.path); });
  return groups_.empty();
}

std::vector<std::string> GroupNames(const CgroupLayout& layout, const std::string& prefix) {
  std::set<std::string> names;
  for (const auto& [parent, version] : Parents(layout)) {
    for (const std::string& name : Below(parent)) {
      if (name.starts_with(prefix)) names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace boxkeeper::launcher
