// The launcher's sandboxes: their directories, their supervisors, and how they end.
#pragma once

#include <sys/resource.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/account.h"
#include "launcher/cgroup/layout.h"
#include "launcher/event_loop.h"
#include "launcher/isolation/host.h"
#include "launcher/journal.h"
#include "launcher/protocol.h"
#include "launcher/records.h"
#include "launcher/sandbox_directories.h"
#include "launcher/supervisor_link.h"

namespace boxkeeper::launcher {

// Why a request was not done; kOk if it was.
struct Failure {
  ErrorCode code = ErrorCode::kOk;
  std::string message;
};
// Gets the failure, or kOk and the reply. Called exactly once, perhaps before the call returns.
template <typename Reply>
using Done = std::function<void(const Failure&, const Reply&)>;

// Owns the sandboxes' directories and all children of this process.
// One thread: the loop's. The directory is the truth; memory is a copy of it that a restarted
// launcher makes anew by Load.
//
//   created ──Start──▶ starting ──exec──▶ running ──▶ ended          (Destroy from each: gone)
//      └─────────stop or fence, exec failed──────────────▲
class Sandboxes {
 public:
  struct Options {
    base::UniqueFd launch_directory;
    std::string launch_path;  // absolute
    std::string boot_id;
    rlimit open_files{};  // for commands
    Account self;         // likewise, unless the launch spec names a user
    bool reset_oom_score_adj = false;
    const IsolationHost* isolation = nullptr;  // outlives this
    CgroupLayout cgroups;                      // for limits
    std::string group_prefix;                  // of the names of this launcher's control groups
  };
  struct Counts {
    uint32_t created = 0, running = 0, ended = 0, unknown = 0;
  };
  // Called with each sandbox that has started or ended.
  using Listener = std::function<void(MessageType, const SandboxInfo&)>;

  Sandboxes(EventLoop& loop, Journal& journal, Options options, Listener listener);

  // Reads the directory: adopts supervisors of an earlier launcher, ends what lost its own.
  bool Load(std::string* error);

  // The requests of the protocol; what each means is said there.
  Failure Create(const CreateRequest& request, CreateReply* reply);
  void Start(const StartRequest& request, base::UniqueFd memfd, const Done<StartReply>& done);
  Failure Signal(const SignalRequest& request, SignalReply* reply);
  void Destroy(const DestroyRequest& request, const Done<DestroyReply>& done);
  Failure Inspect(const InspectRequest& request, InspectReply* reply) const;
  ListReply List(const ListRequest& request) const;
  void Fence(const FenceRequest& request, const Done<FenceReply>& done);

  // To be called on SIGCHLD.
  void Reap();

  Counts counts() const;
  // Whether this launcher is needed though it has no client.
  bool busy() const { return counts().running > 0 || !helpers_.empty() || !lost_.empty(); }

 private:
  struct Sandbox {
    SandboxInfo info;
    PidRecord pid;
    base::UniqueFd pidfd;  // of the supervisor; opened when first needed for a child of ours
    bool adopted = false;  // the supervisor is not our child: its end comes by the pidfd
    std::vector<Control> controls;  // for an adopted supervisor that is not known by pid yet
    uint64_t check_after_ns = 0;    // kStarting: back-off of CheckStarting
    EventLoop::TimerId check_timer = 0;
    EventLoop::TimerId press_timer = 0;  // while it is to end
    uint64_t press_after_ns = 0;         // back-off of PressOn
    uint64_t kill_at_ns = 0;             // from then on PressOn kills by itself
    uint64_t hunt_until_ns = 0;  // lost without proof: how long to look for what is left of it
    std::vector<std::pair<Done<StartReply>, bool>> starts;  // and whether it is a repeat
    std::vector<Done<FenceReply>> fences;
    std::vector<Done<DestroyReply>> destroys;
  };

  Sandbox* Find(const std::string& id);
  // Load.
  void RemoveOldGroups();
  void LoadOne(const std::string& id, bool same_boot);
  void LoadStarted(Sandbox& sandbox, int directory);
  void TakePid(Sandbox& sandbox, const PidRecord& record);
  bool Adopt(Sandbox& sandbox);
  void CheckStarting(const std::string& id);
  void CheckStartingLater(Sandbox& sandbox);

  // Start.
  Failure Fork(Sandbox& sandbox, const StartRequest& request, base::UniqueFd memfd);
  void OnNotices();
  void OnStarted(Sandbox& sandbox, const PidRecord& record);

  // Ends.
  void SendOrQueue(Sandbox& sandbox, const Control& control);
  void PressLater(Sandbox& sandbox, uint64_t kill_at_ns);
  void PressOn(const std::string& id);
  void OnSupervisorGone(Sandbox& sandbox);
  void KillStrays();
  void Hunt(const std::string& id);
  ExitRecord MakeEnd(const Sandbox& sandbox, EndKind kind) const;
  void End(Sandbox& sandbox, const ExitRecord& exit, bool write);
  void SyncLater(const std::string& id);
  void SyncEnds();
  void Remove(Sandbox& sandbox);
  void AwaitHelper(pid_t pid);

  EventLoop& loop_;
  Journal& journal_;
  const Options options_;
  const Listener listener_;
  SandboxDirectories directories_;
  base::UniqueFd notices_;  // read end
  base::UniqueFd notices_write_;
  base::UniqueFd input_;  // /dev/null
  std::string notices_buffer_;
  std::map<std::string, Sandbox> sandboxes_;
  std::unordered_map<pid_t, std::string> children_;  // supervisors of ours -> sandbox id
  std::unordered_map<pid_t, std::string> retired_;   // the same -> directory to recycle after it
  std::set<pid_t> helpers_;                          // children that remove directories
  std::set<std::string> lost_;  // supervisor (a child) died, its tree is being killed
  bool killing_strays_ = false;
  std::vector<std::string> unsynced_;  // ended; their exit records may not survive a power loss
};

}  // namespace boxkeeper::launcher
