// Limits of one sandbox: applied before its command runs, accounted and lifted at its end.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "launcher/abilities.h"
#include "launcher/cgroup/group.h"
#include "launcher/cgroup/layout.h"
#include "launcher/exit_record.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {

// Sets cpu, memory and pids: what a launcher with this layout can limit, and how.
void DescribeLimits(const CgroupLayout& layout, Abilities* abilities);

// Adds what a sandbox's groups have counted: peak memory and CPU time in place of the sum over
// reaped processes, and whether it was the memory limit that ended the command. `killed_by_us`: the
// main process was still there when the supervisor sent its first SIGKILL.
void AddUsage(const GroupUsage& usage, bool killed_by_us, ExitRecord* exit);

class Limiter {
 public:
  // Applies cpu, memory and pids; disk is the isolation's, and only named here. False with `error`
  // when one of them cannot be: then none is.
  bool Apply(const LimitsSpec& limits, const CgroupLayout& layout, const std::string& group_name,
             std::string* error);

  // Which were applied, e.g. "cpu=cgroup1 memory=cgroup1"; "" = none.
  const std::string& text() const { return text_; }
  // What the command has to do before exec: write "0" to each, and RLIMIT_AS (0 = leave it).
  std::vector<int> entries() const { return group_.entries(); }
  uint64_t address_space() const { return address_space_; }
  void OnSpawned() { group_.CloseEntries(); }

  // To be called before a pass of kills: of some, of all.
  void LiftCpu() const { group_.LiftCpu(); }
  void Kill() const { group_.Kill(); }

  GroupUsage Usage() const { return group_.Usage(); }

  // False while the groups are not empty yet.
  bool Remove() { return group_.Remove(); }

 private:
  SandboxGroup group_;
  std::string text_;
  uint64_t address_space_ = 0;
};

}  // namespace boxkeeper::launcher
