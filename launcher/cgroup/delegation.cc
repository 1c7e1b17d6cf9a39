#include "launcher/cgroup/delegation.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <vector>

#include "base/core/file_io.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kProcsBytesMax = 4 << 20;
// Processes may fork while they are moved.
constexpr int kMovePassesMax = 20;
// Another launcher may remove our group before we are in it.
constexpr int kEnterTriesMax = 3;

int WriteFile(const std::string& path, const std::string& text) {
  const base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  return base::WriteAll(fd.get(), text);
}

std::vector<pid_t> Members(const std::string& group) {
  std::string text;
  base::ReadFileAt(AT_FDCWD, group + "/cgroup.procs", kProcsBytesMax, &text);
  std::istringstream lines(text);
  std::vector<pid_t> members;
  for (pid_t pid; lines >> pid;) members.push_back(pid);
  return members;
}

bool Contains(const std::vector<pid_t>& members, pid_t pid) {
  return std::find(members.begin(), members.end(), pid) != members.end();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Empties `group` into its leaf; "" or why that was not possible.
std::string MoveToLeaf(const std::string& group, pid_t parent) {
  const std::string leaf = group + "/" + kLeafGroup;
  for (int pass = 0; pass < kMovePassesMax; ++pass) {
    const std::vector<pid_t> members = Members(group);
    if (members.empty()) return "";
    if (Contains(members, parent)) return "the launcher shares its cgroup with its parent process";
    if (mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) {
      return "make cgroup " + leaf + ": " + std::strerror(errno);
    }
    for (const pid_t pid : members) {
      const int error = WriteFile(leaf + "/cgroup.procs", std::to_string(pid));
      if (error != 0 && error != ESRCH) return "enter cgroup " + leaf + ": " + std::strerror(error);
    }
  }
  return "processes keep coming into the launcher's cgroup";
}

// "" or why not.
std::string HandOn(const std::string& group, const std::string& name, pid_t parent) {
  // The root of all groups alone may do both, and alone has no type.
  const bool is_root = !Exists(group + "/cgroup.type");
  const std::string unmoved = is_root ? "" : MoveToLeaf(group, parent);
  if (!unmoved.empty()) return unmoved;
  const int error = WriteFile(group + "/cgroup.subtree_control", "+" + name);
  if (error == 0) return "";
  return "hand on " + name + " in " + group + ": " + std::strerror(error);
}

bool Enter(const std::string& group) {
  for (int i = 0; i < kEnterTriesMax; ++i) {
    if (mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return false;
    const int error = WriteFile(group + "/cgroup.procs", "0");
    if (error == 0) return true;
    if (error != ENOENT && error != ENODEV) break;
  }
  rmdir(group.c_str());
  return false;
}

// Only empty groups can be removed, so none that is in use.
void RemoveAbandoned(const std::string& parent) {
  DIR* directory = opendir(parent.c_str());
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    if (!std::string_view(entry->d_name).starts_with(kOwnGroupPrefix)) continue;
    const std::string path = parent + "/" + entry->d_name;
    rmdir((path + "/" + kLeafGroup).c_str());
    rmdir(path.c_str());
  }
  closedir(directory);
}

void LeaveOne(const std::string& own, pid_t parent, const std::string& tag) {
  if (own.empty() || !Contains(Members(own), parent)) return;
  // Beside it; below it where it is the top of what is seen.
  const std::string above = own.substr(0, own.rfind('/'));
  const std::string place = Exists(above + "/cgroup.procs") ? above : own;
  RemoveAbandoned(place);
  Enter(place + "/" + kOwnGroupPrefix + tag);
}

void ReturnOne(const std::string& own, const std::string& name) {
  if (!own.ends_with("/" + name)) return;
  // Of version 2 with a leaf this ends here: the leaf is not empty before we are gone.
  if (Members(own) != std::vector<pid_t>{getpid()}) return;
  const std::string above = own.substr(0, own.rfind('/'));
  if (WriteFile(above + "/cgroup.procs", "0") == 0) rmdir(own.c_str());
}

std::string_view PathOf(std::string_view line) {
  for (int i = 0; i < 2; ++i) line.remove_prefix(std::min(line.size(), line.find(':') + 1));
  return line;
}

// The path up to the unit that systemd would stop as one; the whole path where there is none.
std::string_view UnitOf(std::string_view path) {
  for (size_t end = path.size(); end > 0; end = path.rfind('/', end - 1)) {
    const std::string_view unit = path.substr(0, end);
    if (unit.ends_with(".service") || unit.ends_with(".scope")) return unit;
  }
  return path;
}

}  // namespace

CgroupLayout DelegateUnified(pid_t parent, const std::string& root) {
  CgroupLayout layout = DetectCgroups(root);
  struct Refused {
    Controller CgroupLayout::* controller;
    std::string why_not;
  };
  std::vector<Refused> refused;
  const std::pair<const char*, Controller CgroupLayout::*> wanted[] = {
      {"cpu", &CgroupLayout::cpu},
      {"memory", &CgroupLayout::memory},
      {"pids", &CgroupLayout::pids}};
  bool changed = false;
  for (const auto& [name, member] : wanted) {
    const Controller& controller = layout.*member;
    if (controller.usable() || controller.parent.empty()) continue;
    const std::string why_not = HandOn(controller.parent, name, parent);
    if (why_not.empty()) changed = true;
    if (!why_not.empty()) refused.push_back({member, why_not});
  }
  if (changed) layout = DetectCgroups(root);
  for (const Refused& one : refused) (layout.*one.controller).why_not = one.why_not;
  return layout;
}

void LeaveServiceGroup(const CgroupLayout& layout, pid_t parent, const std::string& tag) {
  // Who is started by init has a service of its own, or init is what will be stopped.
  if (parent <= 1) return;
  LeaveOne(layout.own_systemd, parent, tag);
  LeaveOne(layout.own_unified, parent, tag);
}

void ReturnToServiceGroup(const CgroupLayout& layout, const std::string& tag) {
  ReturnOne(layout.own_systemd, kOwnGroupPrefix + tag);
  ReturnOne(layout.own_unified, kOwnGroupPrefix + tag);
}

bool SharesService(std::string_view own, std::string_view peer) {
  if (own.empty() || peer.empty() || own == peer) return true;
  const std::string_view own_path = PathOf(own);
  const std::string_view unit = UnitOf(PathOf(peer));
  // Nobody stops the top of all groups.
  if (unit == "/") return false;
  return UnitOf(own_path) == unit ||
         (own_path.starts_with(unit) && own_path.substr(unit.size()).starts_with('/'));
}

}  // namespace boxkeeper::launcher
