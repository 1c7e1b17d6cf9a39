#include "launcher/limiter.h"

#include <csignal>

namespace boxkeeper::launcher {
namespace {

Ability AbilityOf(const Controller& controller) {
  if (!controller.usable()) return {.how = "", .why_not = controller.why_not};
  return {.how = "cgroup" + std::to_string(controller.version), .why_not = ""};
}

}  // namespace

void DescribeLimits(const CgroupLayout& layout, Abilities* abilities) {
  abilities->cpu = AbilityOf(layout.cpu);
  abilities->memory = AbilityOf(layout.memory);
  abilities->pids = AbilityOf(layout.pids);
  // Of each process, not of all together: weaker, and told as what it is. There is no such
  // fallback for the others (RLIMIT_CPU ends a command, RLIMIT_NPROC counts all of a user's).
  if (!abilities->memory.can()) abilities->memory.how = "rlimit";
}

bool Limiter::Apply(const LimitsSpec& limits, const CgroupLayout& layout,
                    const std::string& group_name, std::string* error) {
  Abilities abilities;
  DescribeLimits(layout, &abilities);
  GroupLimits in_group{
      .cpu_millis = limits.cpu_millis, .memory_bytes = limits.memory_bytes, .pids = limits.pids};
  std::string text;
  const auto take = [&](const char* name, uint64_t value, const Ability& ability) {
    if (value == 0) return;
    if (!ability.can()) {
      *error += (error->empty() ? "" : "; ") + ("limit " + std::string(name)) +
                " cannot be applied: " + ability.why_not;
    }
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + ability.how;
  };
  take("cpu", limits.cpu_millis, abilities.cpu);
  take("memory", limits.memory_bytes, abilities.memory);
  take("pids", limits.pids, abilities.pids);
  take("disk", limits.disk_bytes, {.how = "tmpfs", .why_not = ""});
  if (!error->empty()) return false;
  if (!layout.memory.usable()) {
    address_space_ = limits.memory_bytes;
    in_group.memory_bytes = 0;
  }
  if (!group_.Create(layout, group_name, in_group, error)) {
    *error = "limits cannot be applied: " + *error;
    return false;
  }
  text_ = text;
  return true;
}

void AddUsage(const GroupUsage& usage, bool killed_by_us, ExitRecord* exit) {
  exit->peak_rss_bytes = usage.peak_memory_bytes.value_or(exit->peak_rss_bytes);
  if (usage.cpu_user_us && usage.cpu_system_us) {
    exit->cpu_user_us = *usage.cpu_user_us;
    exit->cpu_system_us = *usage.cpu_system_us;
  }
  if (usage.oom_kills.value_or(0) == 0) return;
  exit->oom_killed = exit->Signal() == SIGKILL && !killed_by_us;
  if (exit->oom_killed || !exit->error.empty()) return;
  exit->error = "the kernel killed " + std::to_string(*usage.oom_kills) +
                " of the sandbox's processes at its memory limit, but not the main one";
}

}  // namespace boxkeeper::launcher
