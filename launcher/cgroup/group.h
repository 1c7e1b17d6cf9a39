// The control groups of one sandbox that has limits: one in each hierarchy that is needed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/cgroup/layout.h"

namespace boxkeeper::launcher {

// 0 = none.
struct GroupLimits {
  uint64_t cpu_millis = 0;
  uint64_t memory_bytes = 0;
  uint64_t pids = 0;
};

// What the kernel has counted for a group; nothing where its hierarchy is not in use.
struct GroupUsage {
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> peak_memory_bytes;
  std::optional<uint64_t> cpu_user_us;
  std::optional<uint64_t> cpu_system_us;
};

// Holds the groups' paths and the descriptors by which a process enters them. The destructor
// removes nothing: the groups outlive any one process.
class SandboxGroup {
 public:
  // Makes the groups `name` below the layout's parents and writes the limits. False with `error`
  // if one cannot be made or a limit not be set; what was made is removed again.
  bool Create(const CgroupLayout& layout, const std::string& name, const GroupLimits& limits,
              std::string* error);
  // Groups that an earlier process made, as far as they exist.
  static SandboxGroup Find(const CgroupLayout& layout, const std::string& name);

  bool exists() const { return !groups_.empty(); }
  // A process that writes "0" to each of these is in the groups.
  std::vector<int> entries() const;
  void CloseEntries() { entries_.clear(); }

  GroupUsage Usage() const;
  // Without waiting: the pids in any of the groups. A group that cannot be read counts as empty.
  std::vector<pid_t> Members() const;
  // Lifts the CPU limit, which would hold back the death of many.
  void LiftCpu() const;
  // That, and kills all by the kernel's own means (version 2).
  void Kill() const;
  // False while something is in one of them; then the others may be gone already.
  bool Remove();

 private:
  struct Group {
    std::string path;
    int version = 0;
  };
  const Group* Enter(const Controller& controller, const std::string& name, std::string* error);
  bool LimitCpu(const Group& group, uint64_t millis, std::string* error);
  bool LimitMemory(const Group& group, uint64_t bytes, std::string* error);

  std::vector<Group> groups_;
  std::vector<base::UniqueFd> entries_;
};

// The names of all groups below the layout's parents that begin with `prefix`.
std::vector<std::string> GroupNames(const CgroupLayout& layout, const std::string& prefix);

}  // namespace boxkeeper::launcher
