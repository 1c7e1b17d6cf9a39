// The launcher's own place among the control groups.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "launcher/cgroup/layout.h"

namespace boxkeeper::launcher {

// Makes the controllers of version 2 usable that the launcher's group has and does not hand on yet,
// and returns the layout as it is then (or still is: each `why_not` says what was in the way). The
// kernel hands controllers on only from a group without processes, so all that are in the
// launcher's own go to a group kLeafGroup below it; only if `parent`, the process that has started
// us, is not among them: then the group is not ours to rearrange.
CgroupLayout DelegateUnified(pid_t parent, const std::string& root = "");

// Moves this process out of the groups by which a service manager would kill it with `parent`, to
// groups `kOwnGroupPrefix<tag>` beside them, where it may. Best effort: what came of it is seen in
// /proc/self/cgroup. Also removes such groups of launchers that are gone.
void LeaveServiceGroup(const CgroupLayout& layout, pid_t parent, const std::string& tag);

// The reverse at the end of a launcher, so that no empty group stays behind. Where something is
// left in it, or the kernel takes no process in the group above, it is a later launcher's to
// remove.
void ReturnToServiceGroup(const CgroupLayout& layout, const std::string& tag);

inline constexpr char kOwnGroupPrefix[] = "boxlaunch-";

// Whether stopping the service of a process with the line `peer` of /proc/<pid>/cgroup ends one
// with the line `own`, too. Unknown ("") counts as yes.
bool SharesService(std::string_view own, std::string_view peer);

}  // namespace boxkeeper::launcher
