#include "launcher/cgroup/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/core/file_io.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kProcBytesMax = 4 << 20;

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

bool Contains(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string Unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Where the group `path` of a hierarchy is seen through a mount of it, if it is.
std::optional<std::string> Through(const CgroupMount& mount, const std::string& path) {
  // Outside of this cgroup namespace, or removed.
  if (path.starts_with("/..") || path.ends_with(" (deleted)")) return std::nullopt;
  if (mount.root == "/") return path == "/" ? mount.point : mount.point + path;
  if (path == mount.root) return mount.point;
  if (!path.starts_with(mount.root + "/")) return std::nullopt;
  return mount.point + path.substr(mount.root.size());
}

// What is seen of one hierarchy.
struct Seen {
  bool joined = false;   // /proc/self/cgroup names it
  bool mounted = false;  // and a mount shows our group
  bool read_only = false;
  std::string own;
};

class Finder {
 public:
  explicit Finder(const std::string& root) : root_(root) {
    std::string text;
    base::ReadFileAt(AT_FDCWD, root + "/proc/self/cgroup", kProcBytesMax, &text);
    memberships_ = ParseCgroupMemberships(text);
    base::ReadFileAt(AT_FDCWD, root + "/proc/self/mountinfo", kProcBytesMax, &text);
    mounts_ = ParseCgroupMounts(text);
  }

  // The hierarchy of version 1 with `controller`; "" = that of version 2.
  Seen Look(const std::string& controller) const {
    Seen seen;
    for (const CgroupMembership& member : memberships_) {
      if (controller.empty() ? !member.controllers.empty()
                             : !Contains(member.controllers, controller)) {
        continue;
      }
      seen.joined = true;
      for (const CgroupMount& mount : mounts_) {
        if ((mount.version == 2) != controller.empty()) continue;
        if (!controller.empty() && !Contains(mount.options, controller)) continue;
        const auto own = Through(mount, member.path);
        if (!own || !IsDirectory(*own)) continue;
        // Of several mounts a writable one is the better.
        if (seen.mounted && !seen.read_only) continue;
        seen.mounted = true;
        seen.read_only = mount.read_only;
        seen.own = root_ + *own;
      }
    }
    return seen;
  }

  // `probe`: a file that the controller's groups have, "" = none that every kernel shows.
  Controller Find(const std::string& name, const std::string& probe) const {
    Seen unified = Look("");
    const std::string leaf = std::string("/") + kLeafGroup;
    if (unified.own.ends_with(leaf)) unified.own.resize(unified.own.size() - leaf.size());
    if (unified.mounted && Contains(Words(unified.own + "/cgroup.controllers"), name)) {
      return Judge(unified, 2, name);
    }
    const Seen own = Look(name);
    if (!own.joined) {
      const char* why = unified.mounted ? " is not delegated to the launcher's cgroup"
                                        : " is in no hierarchy of cgroups";
      return {.version = 0, .parent = "", .why_not = "the controller " + name + why};
    }
    Controller found = Judge(own, 1, name);
    if (found.usable() && !probe.empty() && !Exists(own.own + "/" + probe)) {
      found = {.version = 0, .parent = "", .why_not = "the kernel has no " + probe};
    }
    return found;
  }

 private:
  bool IsDirectory(const std::string& path) const {
    struct stat status{};
    return stat((root_ + path).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  }
  static bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }
  static std::vector<std::string> Words(const std::string& path) {
    std::string text;
    base::ReadFileAt(AT_FDCWD, path, kProcBytesMax, &text);
    while (text.ends_with('\n')) text.pop_back();
    return Split(text, ' ');
  }

  static Controller Judge(const Seen& seen, int version, const std::string& name) {
    const std::string what = "the cgroups of " + name;
    if (!seen.mounted) return {.version = 0, .parent = "", .why_not = what + " are not mounted"};
    if (seen.read_only) {
      return {.version = 0, .parent = "", .why_not = what + " are mounted read-only"};
    }
    if (access(seen.own.c_str(), W_OK | X_OK) != 0) {
      return {.version = 0, .parent = "", .why_not = what + " are not delegated to this user"};
    }
    if (version == 2 && !Contains(Words(seen.own + "/cgroup.subtree_control"), name)) {
      return {.version = 0,
              .parent = seen.own,
              .why_not = "the launcher's cgroup does not hand on the controller " + name};
    }
    return {.version = version, .parent = seen.own, .why_not = ""};
  }

  const std::string root_;
  std::vector<CgroupMembership> memberships_;
  std::vector<CgroupMount> mounts_;
};

}  // namespace

std::vector<CgroupMount> ParseCgroupMounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  for (const std::string& line : Split(mountinfo, '\n')) {
    // id parent device root point options tag... - type source options
    const std::vector<std::string> words = Split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (dash - words.begin() < 6 || words.end() - dash < 4) continue;
    if (dash[1] != "cgroup" && dash[1] != "cgroup2") continue;
    CgroupMount mount;
    mount.root = Unescape(words[3]);
    mount.point = Unescape(words[4]);
    mount.version = dash[1] == "cgroup2" ? 2 : 1;
    mount.options = Split(dash[3], ',');
    mount.read_only = Contains(Split(words[5], ','), "ro") || Contains(mount.options, "ro");
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::vector<CgroupMembership> ParseCgroupMemberships(std::string_view text) {
  std::vector<CgroupMembership> memberships;
  for (const std::string& line : Split(text, '\n')) {
    // number:controllers:path; a path may hold colons, a name of version 1 may not.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    memberships.push_back({.controllers = Split(line.substr(first + 1, second - first - 1), ','),
                           .path = line.substr(second + 1)});
  }
  return memberships;
}

CgroupLayout DetectCgroups(const std::string& root) {
  const Finder finder(root);
  CgroupLayout layout;
  layout.cpu = finder.Find("cpu", "cpu.cfs_quota_us");
  layout.memory = finder.Find("memory", "memory.limit_in_bytes");
  layout.pids = finder.Find("pids", "");
  layout.cpuacct = finder.Find("cpuacct", "cpuacct.usage");
  const Seen unified = finder.Look("");
  if (unified.mounted) layout.own_unified = unified.own;
  const Seen systemd = finder.Look("name=systemd");
  if (systemd.mounted) layout.own_systemd = systemd.own;
  return layout;
}

}  // namespace boxkeeper::launcher
