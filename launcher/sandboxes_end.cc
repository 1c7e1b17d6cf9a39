// How sandboxes end, and what is done about those that cannot say so themselves.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/proc.h"
#include "base/fault_points.h"
#include "launcher/cgroup/group.h"
#include "launcher/process_tree.h"
#include "launcher/sandboxes.h"

namespace boxkeeper::launcher {
namespace {

constexpr uint64_t kKillRetryNs = 10'000'000;
constexpr uint64_t kSyncDelayNs = 1'000'000'000;
constexpr uint64_t kFirstPressNs = 50'000'000;
constexpr uint64_t kLastPressNs = 1'000'000'000;
// How long to look for processes by their mark before giving up on proving anything.
constexpr uint64_t kHuntNs = 3'000'000'000;

// Returns how many it hit.
int KillMembers(const SandboxGroup& group) {
  group.Kill();
  int hit = 0;
  for (const pid_t pid : group.Members()) {
    const base::UniqueFd pidfd(base::PidfdOpen(pid));
    // Read again after the open: the pid may have changed hands between the two.
    const std::vector<pid_t> members = group.Members();
    if (pidfd.valid() && std::find(members.begin(), members.end(), pid) != members.end() &&
        base::PidfdSignal(pidfd.get(), SIGKILL) == 0) {
      ++hit;
    }
  }
  return hit;
}

}  // namespace

void Sandboxes::Reap() {
  std::vector<std::string> gone;
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG);
    if (pid <= 0) break;
    helpers_.erase(pid);
    if (const auto retired = retired_.find(pid); retired != retired_.end()) {
      AwaitHelper(directories_.Recycle(retired->second));
      retired_.erase(retired);
    }
    if (const auto child = children_.find(pid); child != children_.end()) {
      gone.push_back(child->second);
      children_.erase(child);
    }
  }
  if (gone.empty()) return;
  // What they said with their last breath comes first.
  OnNotices();
  for (const std::string& id : gone) {
    if (Sandbox* sandbox = Find(id)) OnSupervisorGone(*sandbox);
  }
}

void Sandboxes::OnSupervisorGone(Sandbox& sandbox) {
  if (sandbox.info.state == SandboxState::kEnded) return;
  const std::string id = sandbox.info.id;
  const base::UniqueFd directory = directories_.OpenOne(id);
  ExitRecord exit;
  if (ReadRecord(directory.get(), kExitFile, &exit) == ReadResult::kRead) {
    End(sandbox, exit, /*write=*/false);
    return;
  }
  PidRecord pid;
  if (ReadRecord(directory.get(), kPidFile, &pid) == ReadResult::kRead) TakePid(sandbox, pid);
  journal_.Line("supervisor lost", "sandbox=" + id);
  if (sandbox.adopted) {
    if (sandbox.pidfd.valid()) loop_.Remove(sandbox.pidfd.get());
    sandbox.pidfd.Reset();
    sandbox.hunt_until_ns = base::BootNs() + kHuntNs;
    Hunt(id);
  } else {
    lost_.insert(id);
    if (!killing_strays_) KillStrays();
  }
}

// We are the subreaper of our supervisors: when one dies, all that was below it becomes our child
// before we can reap it. So a child that is neither a supervisor nor a helper belongs to a lost
// sandbox, and when there is none left, nothing of them is.
void Sandboxes::KillStrays() {
  killing_strays_ = true;
  std::set<pid_t> spared = helpers_;
  for (const auto& [pid, id] : children_) spared.insert(pid);
  KillDescendants(spared);
  const std::vector<pid_t> children = base::ChildrenOf(getpid());
  const bool gone = std::all_of(children.begin(), children.end(),
                                [&](pid_t pid) { return spared.contains(pid); });
  // A child that ended while the list was read may have hidden another: then look again.
  siginfo_t ended{};
  waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT);
  if (!gone || ended.si_pid != 0) {
    loop_.At(base::BootNs() + kKillRetryNs, [this] { KillStrays(); });
    return;
  }
  killing_strays_ = false;
  for (const std::string& id : std::exchange(lost_, {})) {
    Sandbox* sandbox = Find(id);
    if (sandbox == nullptr) continue;
    ExitRecord end = MakeEnd(*sandbox, EndKind::kSupervisorLost);
    end.tree_fenced = true;
    end.error = "the supervisor died; its process tree was killed";
    End(*sandbox, end, /*write=*/true);
  }
}

// The supervisor was not our child, so its tree did not fall to us: what carries the sandbox's mark
// and what descends from the command is killed, and what is in its control groups. Whether that was
// all is proved only by an empty group that its processes cannot have left: one of a sandbox that
// sees no control groups.
void Sandboxes::Hunt(const std::string& id) {
  Sandbox* sandbox = Find(id);
  if (sandbox == nullptr || sandbox->info.state == SandboxState::kEnded) return;
  const SandboxGroup group = SandboxGroup::Find(options_.cgroups, options_.group_prefix + id);
  const int hit = KillMarked(id) + KillMembers(group);
  if (hit > 0 && base::BootNs() < sandbox->hunt_until_ns) {
    loop_.At(base::BootNs() + kKillRetryNs, [this, id] { Hunt(id); });
    return;
  }
  ExitRecord end = MakeEnd(*sandbox, EndKind::kSupervisorLost);
  end.tree_fenced =
      sandbox->info.isolation == "bubblewrap" && group.exists() && group.Members().empty();
  end.error = std::string("the supervisor died while no launcher was its parent; ") +
              (end.tree_fenced ? "its control groups were emptied" : "fence not confirmed");
  End(*sandbox, end, /*write=*/true);
}

ExitRecord Sandboxes::MakeEnd(const Sandbox& sandbox, EndKind kind) const {
  ExitRecord end;
  end.kind = kind;
  end.sandbox_id = sandbox.info.id;
  end.exec_id = sandbox.info.exec_id;
  end.boot_id = sandbox.info.boot_id;
  end.attester = "launcher";
  end.started_unix_ns = sandbox.info.started_unix_ns;
  end.started_boot_ns = sandbox.info.started_boot_ns;
  end.ended_unix_ns = base::UnixNs();
  end.ended_boot_ns = base::BootNs();
  if (kind == EndKind::kNeverStarted) {
    end.user_code_started = UserCodeStarted::kNo;
  } else if (end.started_unix_ns != 0) {
    end.user_code_started = UserCodeStarted::kYes;
  }
  // Nothing was forked, or nothing survives a reboot.
  end.tree_fenced = kind == EndKind::kNeverStarted || kind == EndKind::kHostRebooted;
  return end;
}

void Sandboxes::End(Sandbox& sandbox, const ExitRecord& exit, bool write) {
  SandboxInfo& info = sandbox.info;
  if (write) {
    const base::UniqueFd directory = directories_.OpenOne(info.id);
    const int error = WriteRecord(directory.get(), kExitFile, exit, base::Durability::kPowerLoss);
    // It stands in memory; a later launcher would come to the same end.
    if (error != 0) {
      journal_.Line("exit record", "sandbox=" + info.id + " error=" + std::strerror(error));
    }
  }
  base::Failpoint("launcher.end.known");
  if (!write) SyncLater(info.id);
  // A supervisor removes its groups itself; one that was lost could not.
  if (write) SandboxGroup::Find(options_.cgroups, options_.group_prefix + info.id).Remove();
  if (sandbox.adopted && sandbox.pidfd.valid()) loop_.Remove(sandbox.pidfd.get());
  sandbox.pidfd.Reset();
  loop_.Cancel(sandbox.check_timer);
  loop_.Cancel(sandbox.press_timer);
  sandbox.controls.clear();
  lost_.erase(info.id);
  info.state = SandboxState::kEnded;
  info.exit = exit;
  info.started_unix_ns = exit.started_unix_ns;
  info.started_boot_ns = exit.started_boot_ns;
  for (const auto& [done, repeated] : std::exchange(sandbox.starts, {})) {
    done({}, {.repeated = repeated, .info = info});
  }
  for (const auto& done : std::exchange(sandbox.fences, {})) {
    if (exit.tree_fenced) {
      done({}, {.was_absent = false, .info = info});
    } else {
      done({ErrorCode::kUnconfirmed, exit.error}, {});
    }
  }
  listener_(MessageType::kExitedEvent, info);
  if (!sandbox.destroys.empty()) Remove(sandbox);
}

// A client that is there takes the end within milliseconds and destroys the sandbox: only what is
// still there after a while is worth a sync.
void Sandboxes::SyncLater(const std::string& id) {
  if (unsynced_.empty()) loop_.At(base::BootNs() + kSyncDelayNs, [this] { SyncEnds(); });
  unsynced_.push_back(id);
}

void Sandboxes::SyncEnds() {
  std::vector<std::string> left = std::exchange(unsynced_, {});
  std::erase_if(left, [this](const std::string& id) { return Find(id) == nullptr; });
  if (!left.empty()) AwaitHelper(directories_.SyncExits(left));
}

void Sandboxes::PressLater(Sandbox& sandbox, uint64_t kill_at_ns) {
  if (sandbox.kill_at_ns == 0 || kill_at_ns < sandbox.kill_at_ns) sandbox.kill_at_ns = kill_at_ns;
  if (sandbox.press_after_ns != 0) return;
  sandbox.press_after_ns = kFirstPressNs;
  const std::string id = sandbox.info.id;
  sandbox.press_timer = loop_.At(base::BootNs() + kFirstPressNs, [this, id] { PressOn(id); });
}

// A command of the same user may stop its supervisor, and again after each SIGCONT: then it is
// killed from here, and the supervisor finds its tree gone.
void Sandboxes::PressOn(const std::string& id) {
  Sandbox* sandbox = Find(id);
  if (sandbox == nullptr || sandbox->info.state == SandboxState::kEnded) return;
  const uint64_t now = base::BootNs();
  if (sandbox->pidfd.valid()) {
    if (now >= sandbox->kill_at_ns) {
      KillDescendantsOf(static_cast<pid_t>(sandbox->info.supervisor_pid));
    }
    base::PidfdSignal(sandbox->pidfd.get(), SIGCONT);
  }
  sandbox->press_after_ns = std::min(sandbox->press_after_ns * 2, kLastPressNs);
  sandbox->press_timer = loop_.At(now + sandbox->press_after_ns, [this, id] { PressOn(id); });
}

void Sandboxes::Remove(Sandbox& sandbox) {
  const std::string id = sandbox.info.id;
  const bool fenced = sandbox.info.state == SandboxState::kCreated ||
                      (sandbox.info.exit && sandbox.info.exit->tree_fenced);
  if (!fenced) KillMarked(id);
  const std::vector<Done<DestroyReply>> destroys = std::exchange(sandbox.destroys, {});
  std::string retired;
  const int error = directories_.Retire(id, &retired);
  if (error != 0 && error != ENOENT) {
    for (const auto& done : destroys) {
      done({ErrorCode::kResource, std::string("remove sandbox: ") + std::strerror(error)}, {});
    }
    return;
  }
  base::Failpoint("launcher.destroy.retired");
  const auto supervisor = static_cast<pid_t>(sandbox.info.supervisor_pid);
  const bool recyclable = fenced && !sandbox.adopted;
  sandboxes_.erase(id);
  if (error == 0) {
    if (!recyclable) {
      AwaitHelper(directories_.Discard(retired));
    } else if (children_.contains(supervisor)) {
      // It still holds the directory's lock.
      retired_[supervisor] = retired;
    } else {
      AwaitHelper(directories_.Recycle(retired));
    }
  }
  for (const auto& done : destroys) done({}, {.was_absent = false, .fenced = fenced});
}

void Sandboxes::AwaitHelper(pid_t pid) {
  if (pid > 0) helpers_.insert(pid);
}

}  // namespace boxkeeper::launcher
