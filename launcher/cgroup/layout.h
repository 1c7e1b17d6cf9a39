// Where on this host control groups can be made, and with which controllers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace boxkeeper::launcher {

// One controller: usable iff `version` is not 0; else `why_not` says in words what is lacking.
struct Controller {
  int version = 0;  // 1, 2: of the hierarchy that has it
  // Absolute path of the group below which to make groups. Also set where only handing on is
  // lacking (DelegateUnified).
  std::string parent;
  std::string why_not;

  bool usable() const { return version != 0; }
};

struct CgroupLayout {
  Controller cpu;      // quota
  Controller cpuacct;  // CPU time; of version 2 it is there with every group
  Controller memory;
  Controller pids;
  // Own group in the hierarchies by which a service manager kills, "" = not mounted.
  std::string own_unified;
  std::string own_systemd;  // version 1, name=systemd
};

// The group of version 2 in which a launcher keeps its own processes, so that the one above it can
// hand controllers on to others; that one is then the parent.
inline constexpr char kLeafGroup[] = "boxlaunch";

// Reads /proc/self/cgroup and /proc/self/mountinfo, all paths below `root` (tests; "" = the host).
// Changes nothing. A controller of version 2 is usable only where its parent already hands it on:
// see DelegateUnified. Each controller is in one hierarchy only, so there is nothing to choose.
CgroupLayout DetectCgroups(const std::string& root = "");

// For tests: the two parsers. A mount of cgroups, and the path of this process in a hierarchy.
struct CgroupMount {
  std::string root;  // of the mounted part, as in /proc/self/cgroup
  std::string point;
  int version = 1;
  bool read_only = false;
  std::vector<std::string> options;  // of the file system: controllers and names of version 1
};
std::vector<CgroupMount> ParseCgroupMounts(std::string_view mountinfo);

struct CgroupMembership {
  std::vector<std::string> controllers;  // empty: version 2
  std::string path;
};
std::vector<CgroupMembership> ParseCgroupMemberships(std::string_view text);

}  // namespace boxkeeper::launcher
