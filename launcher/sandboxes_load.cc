// How a launcher takes over what an earlier one left.

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/proc.h"
#include "launcher/cgroup/group.h"
#include "launcher/sandboxes.h"

namespace boxkeeper::launcher {
namespace {

constexpr char kBootIdFile[] = "boot_id";
constexpr uint64_t kFirstCheckNs = 10'000'000;
constexpr uint64_t kLastCheckNs = 1'000'000'000;

}  // namespace

bool Sandboxes::Load(std::string* error) {
  const int launch = options_.launch_directory.get();
  if (!notices_.valid()) {
    *error = std::string("pipe: ") + std::strerror(errno);
    return false;
  }
  if (!directories_.Open(launch, error)) return false;
  AwaitHelper(directories_.DiscardOld());
  std::string last_boot;
  base::ReadFileAt(launch, kBootIdFile, 100, &last_boot);
  const bool same_boot = last_boot == options_.boot_id;
  for (const std::string& id : directories_.Ids()) LoadOne(id, same_boot);
  RemoveOldGroups();
  // Only now: had we died before, the next launcher must still see the earlier boot.
  if (!same_boot) {
    base::ReplaceFileAt(launch, kBootIdFile, options_.boot_id, 0600, base::Durability::kPowerLoss);
  }
  return true;
}

// Groups of sandboxes that are gone or have ended, whose supervisors could not remove them. One
// that is not empty stays.
void Sandboxes::RemoveOldGroups() {
  for (const std::string& name : GroupNames(options_.cgroups, options_.group_prefix)) {
    const Sandbox* sandbox = Find(name.substr(options_.group_prefix.size()));
    if (sandbox != nullptr && sandbox->info.state != SandboxState::kEnded) continue;
    SandboxGroup::Find(options_.cgroups, name).Remove();
  }
}

void Sandboxes::LoadOne(const std::string& id, bool same_boot) {
  if (!IsValidId(id)) return;
  const base::UniqueFd directory = directories_.OpenOne(id);
  if (!directory.valid()) return;
  BootRecord boot;
  StartedRecord started;
  ExitRecord exit;
  ReadResult boot_read = ReadRecord(directory.get(), kBootFile, &boot);
  // A recycled file whose new content a power loss has eaten.
  if (boot_read == ReadResult::kRead && boot.id != id) boot_read = ReadResult::kDamaged;
  const ReadResult started_read = ReadRecord(directory.get(), kStartedFile, &started);
  ReadResult exit_read = ReadRecord(directory.get(), kExitFile, &exit);
  if (!exit.sandbox_id.empty() && exit.sandbox_id != id) exit_read = ReadResult::kDamaged;
  Sandbox& sandbox = sandboxes_[id];
  SandboxInfo& info = sandbox.info;
  info.id = id;
  info.name = boot.name;
  info.labels = boot.labels;
  info.boot_id = boot.boot_id;
  info.created_unix_ns = boot.created_unix_ns;
  info.exec_id = started.exec_id;
  if (exit_read == ReadResult::kRead) {
    info.state = SandboxState::kEnded;
    info.exit = exit;
    info.exec_id = exit.exec_id;
    info.started_unix_ns = exit.started_unix_ns;
    info.started_boot_ns = exit.started_boot_ns;
    PidRecord pid;
    ReadRecord(directory.get(), kPidFile, &pid);
    info.isolation = pid.isolation;
    info.limits = pid.limits;
    return;
  }
  // After a power loss any record may be missing or empty, so what an earlier boot left is judged
  // by a whole exit record alone.
  const bool earlier_boot =
      boot_read == ReadResult::kRead ? boot.boot_id != options_.boot_id : !same_boot;
  if (earlier_boot) {
    ExitRecord end = MakeEnd(sandbox, EndKind::kHostRebooted);
    end.error = "the host has rebooted since the sandbox was created";
    End(sandbox, end, /*write=*/true);
  } else if (boot_read == ReadResult::kAbsent && started_read == ReadResult::kAbsent &&
             exit_read == ReadResult::kAbsent) {
    // A Create that did not come to its end, and was never answered.
    Remove(sandbox);
  } else if (boot_read != ReadResult::kRead || started_read == ReadResult::kDamaged ||
             exit_read == ReadResult::kDamaged) {
    info.state = SandboxState::kUnknown;
    info.message = "a record is damaged";
    journal_.Line("damaged", "sandbox=" + id);
  } else if (started_read == ReadResult::kAbsent) {
    info.state = SandboxState::kCreated;
  } else {
    LoadStarted(sandbox, directory.get());
  }
}

// Started in this boot, and no exit record: its supervisor lives, or was lost while no launcher
// looked.
void Sandboxes::LoadStarted(Sandbox& sandbox, int directory) {
  sandbox.adopted = true;
  sandbox.info.state = SandboxState::kStarting;
  PidRecord pid;
  if (ReadRecord(directory, kPidFile, &pid) == ReadResult::kRead) TakePid(sandbox, pid);
  CheckStarting(sandbox.info.id);
}

void Sandboxes::TakePid(Sandbox& sandbox, const PidRecord& record) {
  if (!sandbox.adopted) loop_.Cancel(sandbox.check_timer);
  sandbox.pid = record;
  sandbox.info.state = SandboxState::kRunning;
  sandbox.info.supervisor_pid = record.supervisor_pid;
  sandbox.info.command_pid = record.command_pid;
  sandbox.info.started_unix_ns = record.started_unix_ns;
  sandbox.info.started_boot_ns = record.started_boot_ns;
  sandbox.info.isolation = record.isolation;
  sandbox.info.limits = record.limits;
}

// Watches the supervisor that the pid record names, if it is still that one.
bool Sandboxes::Adopt(Sandbox& sandbox) {
  sandbox.pidfd.Reset(base::OpenProcess(static_cast<pid_t>(sandbox.pid.supervisor_pid),
                                        sandbox.pid.supervisor_start_ticks));
  if (!sandbox.pidfd.valid()) return false;
  // Its start time is a matter of 10 ms; its name makes a mistake impossible.
  const auto stat = base::ReadProcStat(static_cast<pid_t>(sandbox.pid.supervisor_pid));
  if (!stat || stat->name != SupervisorName(sandbox.info.id)) {
    sandbox.pidfd.Reset();
    return false;
  }
  const std::string id = sandbox.info.id;
  loop_.Add(sandbox.pidfd.get(), EPOLLIN, [this, id](uint32_t) {
    if (Sandbox* gone = Find(id)) OnSupervisorGone(*gone);
  });
  for (const Control& control : std::exchange(sandbox.controls, {})) {
    SendOrQueue(sandbox, control);
  }
  journal_.Line("adopted", "sandbox=" + id);
  return true;
}

// Looks again at a sandbox whose start has not been heard of: the supervisor writes the pid record
// soon after exec, so there is nothing to wait on but the file.
void Sandboxes::CheckStarting(const std::string& id) {
  Sandbox* sandbox = Find(id);
  if (sandbox == nullptr || sandbox->info.state == SandboxState::kEnded) return;
  if (sandbox->adopted ? sandbox->pidfd.valid() : sandbox->info.state != SandboxState::kStarting) {
    return;
  }
  const base::UniqueFd directory = directories_.OpenOne(id);
  PidRecord pid;
  const bool has_pid = ReadRecord(directory.get(), kPidFile, &pid) == ReadResult::kRead;
  if (has_pid && sandbox->info.state == SandboxState::kStarting) OnStarted(*sandbox, pid);
  if (!sandbox->adopted) {
    if (has_pid) return;
    // Its command may have stopped it before it could tell of the start. A child of ours keeps its
    // pid until we reap it.
    const auto supervisor = static_cast<pid_t>(sandbox->info.supervisor_pid);
    if (children_.contains(supervisor)) kill(supervisor, SIGCONT);
    CheckStartingLater(*sandbox);
    return;
  }
  // The supervisor holds this lock as long as it lives, which no pid can tell so surely.
  if (flock(directory.get(), LOCK_EX | LOCK_NB) == 0) {
    OnSupervisorGone(*sandbox);
  } else if (!has_pid || !Adopt(*sandbox)) {
    CheckStartingLater(*sandbox);
  }
}

void Sandboxes::CheckStartingLater(Sandbox& sandbox) {
  if (sandbox.check_after_ns == 0) {
    // Of our own children we hear; the file is only for a notice that was dropped.
    sandbox.check_after_ns = sandbox.adopted ? kFirstCheckNs : kLastCheckNs;
  }
  const std::string id = sandbox.info.id;
  sandbox.check_timer =
      loop_.At(base::BootNs() + sandbox.check_after_ns, [this, id] { CheckStarting(id); });
  sandbox.check_after_ns = std::min(sandbox.check_after_ns * 2, kLastCheckNs);
}

}  // namespace boxkeeper::launcher
