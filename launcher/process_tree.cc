#include "launcher/process_tree.h"

#include <signal.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/core/proc.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {
namespace {

// The descendants found so far. Holding a pidfd of each keeps "is it still the same process"
// answerable.
class Tree {
 public:
  Tree(pid_t root, std::set<pid_t> spared) : root_(root), spared_(std::move(spared)) {}

  // Walks the tree once more; returns how many processes are new.
  int Extend() {
    int found = Visit(root_);
    // Visiting changes the members.
    std::vector<pid_t> known;
    for (const auto& [pid, pidfd] : members_) known.push_back(pid);
    for (const pid_t pid : known) found += Visit(pid);
    return found;
  }

  int Signal(int signal) {
    int reached = 0;
    for (const auto& [pid, pidfd] : members_) {
      if (base::PidfdSignal(pidfd.get(), signal) == 0) ++reached;
    }
    return reached;
  }

 private:
  // Adds the children of `parent`, and theirs.
  int Visit(pid_t parent) {
    int found = 0;
    for (const pid_t child : base::ChildrenOf(parent)) {
      if (spared_.contains(child) || IsMember(child)) continue;
      if (!Add(child)) continue;
      found += 1 + Visit(child);
    }
    return found;
  }

  // A member counts as known only while it lives: its pid may be taken by a new process.
  bool IsMember(pid_t pid) {
    const auto member = members_.find(pid);
    if (member == members_.end()) return false;
    if (base::PidfdSignal(member->second.get(), 0) == 0) return true;
    members_.erase(member);
    return false;
  }

  // Opens first and looks at the parent after it: had the pid changed hands before the open, its
  // parent would not be one of ours.
  bool Add(pid_t pid) {
    base::UniqueFd pidfd(base::PidfdOpen(pid));
    if (!pidfd.valid()) return false;
    const std::optional<base::ProcStat> stat = base::ReadProcStat(pid);
    if (!stat) return false;
    if (stat->parent != root_ && !IsMember(stat->parent)) return false;
    members_[pid] = std::move(pidfd);
    return true;
  }

  const pid_t root_;
  const std::set<pid_t> spared_;
  std::map<pid_t, base::UniqueFd> members_;
};

// A bound against a tree that forks faster than it is stopped; the caller comes again.
constexpr int kStopPasses = 64;

int StopAndKill(Tree& tree) {
  for (int pass = 0; pass < kStopPasses && tree.Extend() > 0; ++pass) tree.Signal(SIGSTOP);
  return tree.Signal(SIGKILL);
}

int SignalOnce(Tree& tree, int signal) {
  tree.Extend();
  const int reached = tree.Signal(signal);
  if (signal != SIGKILL) tree.Signal(SIGCONT);
  return reached;
}

}  // namespace

int SignalDescendants(int signal, const std::set<pid_t>& spared) {
  Tree tree(getpid(), spared);
  return SignalOnce(tree, signal);
}

int SignalDescendantsOf(pid_t root, int signal) {
  Tree tree(root, {});
  return SignalOnce(tree, signal);
}

int KillDescendants(const std::set<pid_t>& spared) {
  Tree tree(getpid(), spared);
  return StopAndKill(tree);
}

int KillDescendantsOf(pid_t root) {
  Tree tree(root, {});
  return StopAndKill(tree);
}

int KillMarked(const std::string& sandbox_id) {
  const std::string mark = std::string(kSandboxVariable) + "=" + sandbox_id;
  int hit = 0;
  for (const pid_t pid : base::AllPids()) {
    if (pid == getpid() || !base::EnvironmentHas(pid, mark)) continue;
    const base::UniqueFd pidfd(base::PidfdOpen(pid));
    // Read again after the open, for the same reason as in Add.
    if (!pidfd.valid() || !base::EnvironmentHas(pid, mark)) continue;
    base::PidfdSignal(pidfd.get(), SIGSTOP);
    Tree tree(pid, {});
    hit += StopAndKill(tree);
    if (base::PidfdSignal(pidfd.get(), SIGKILL) == 0) ++hit;
  }
  return hit;
}

}  // namespace boxkeeper::launcher
