// The inside of a supervisor: one sandbox from its launch to its exit record. The process exists
// for it alone.
#pragma once

#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/core/proc.h"
#include "base/core/unique_fd.h"
#include "launcher/event_loop.h"
#include "launcher/isolation/isolated_command.h"
#include "launcher/launch_spec.h"
#include "launcher/limiter.h"
#include "launcher/outputs/receiver.h"
#include "launcher/prepare.h"
#include "launcher/records.h"
#include "launcher/spool.h"
#include "launcher/supervisor.h"
#include "launcher/supervisor_link.h"

namespace boxkeeper::launcher {

constexpr uint64_t kMillisecond = 1'000'000;
// While killing: how soon to look for processes that a pass has missed.
constexpr uint64_t kKillRetryNs = 10 * kMillisecond;
// While output or a record cannot be written: how soon to try again.
constexpr uint64_t kStallRetryNs = 200 * kMillisecond;
// Output that waits for room is tried again this soon at first: the log store may be fast.
constexpr uint64_t kStallRetryNsMin = 5 * kMillisecond;

// States: preparing -> running -> (stopping ->) main reaped -> tree gone -> outputs collected ->
// drained -> written. (Inside a sandbox the outputs are collected before its tree is gone.)
class Supervisor {
 public:
  explicit Supervisor(SupervisorArguments arguments)
      : arguments_(std::move(arguments)),
        place_{arguments_.sandbox_id, arguments_.directory.get(), arguments_.directory_path} {
    exit_.sandbox_id = arguments_.sandbox_id;
    exit_.exec_id = arguments_.exec_id;
    exit_.boot_id = arguments_.boot_id;
    exit_.attester = "supervisor";
  }

  void Run() {
    std::string error;
    if (!Prepare(&error)) FinishUnstarted(error);
    while (!finished_) loop_.RunOnce();
  }

 private:
  // Before the command (supervisor_start.cc).
  bool Prepare(std::string* error);
  bool ReadSpec(LaunchSpec* spec, std::string* error);
  bool FindUser(const std::string& user, std::string* error);
  bool SpawnCommand(LaunchSpec& spec, std::string* error);
  bool SpawnIsolated(const LaunchSpec& spec, std::string* error);
  void FindInside();
  void NoteSecretPath(const std::string& path);
  bool WatchEverything(std::string* error);
  void OnStarted();

  // While it runs (supervisor.cc).
  void OnSignal();
  void OnControl(const Control& control);
  void OnRunTimeout();
  void Stop(uint64_t grace_ms);
  void Kill();
  void Reap();
  void OnMainEnded(int wait_status);
  void OnInitReport();
  void OnSandboxGone();
  void AddUsage(const rusage& usage);
  void OnReadable(size_t stream);
  void PauseStream(size_t stream);
  void WatchStream(size_t stream);

  // Its outputs (supervisor_outputs.cc).
  bool WantsOutputs() const { return !outputs_.patterns.empty(); }
  bool MakeOutputsPipe(std::string* error);
  void WatchOutputs();
  void OnOutputs();
  bool CollectingInside() const;
  void GiveUpCollecting(const std::string& why);
  void BoundCollecting(uint64_t boot_ns);
  bool CollectFromHost();
  void OnCollected();
  void StoreOutputs();

  // After it (supervisor_end.cc).
  void OnTreeMayHaveChanged();
  void Drain();
  void Finish();
  void FinishUnstarted(const std::string& error);
  bool DirectoryIsRemoved() const;
  void RemoveGroups();
  void ReserveExitRecord();
  void WriteExitRecord();
  void Notify(NoticeKind kind, const std::string& record);

  uint64_t Now() const { return base::BootNs(); }

  SupervisorArguments arguments_;
  const SandboxPlace place_;
  EventLoop loop_;
  base::UniqueFd signals_;
  base::UniqueFd exit_file_;
  Spool spool_;
  Account account_;
  base::UniqueFd workdir_;
  std::vector<std::string> secret_paths_;
  OutputsSpec outputs_;
  OutputsReceiver receiver_;
  base::UniqueFd outputs_end_;    // read end of the collector's pipe
  base::UniqueFd outputs_input_;  // its write end, until the collector has it
  pid_t collector_ = -1;          // on the host; our child, not reaped
  bool host_tried_ = false;
  uint64_t collect_until_ = 0;
  bool collected_ = false;  // stored, or given up
  std::string work_name_;   // what an isolated command calls its work directory; "" = it has none
  Limiter limiter_;
  uint64_t run_timeout_ms_ = 0;
  uint64_t grace_ms_ = 0;
  uint64_t final_drain_ms_ = 0;

  bool isolated_ = false;
  bool start_unknown_ = false;
  IsolatedCommand sandbox_;  // if isolated, with the next two
  pid_t init_ = -1;
  pid_t inside_ = -1;
  pid_t command_ = -1;  // our child: the command, or bwrap
  base::UniqueFd command_pidfd_;
  bool main_reaped_ = false;
  bool tree_gone_ = false;
  bool killing_ = false;
  bool killed_main_ = false;  // it was still there at the first SIGKILL
  bool finished_ = false;
  std::optional<uint64_t> kill_at_;
  EventLoop::TimerId kill_timer_ = 0;
  uint64_t kill_retry_ns_ = kKillRetryNs;
  std::optional<uint64_t> drain_until_;
  std::array<uint64_t, Spool::kStreams> drain_to_{};
  std::array<bool, Spool::kStreams> stream_open_{true, true};
  std::array<uint64_t, Spool::kStreams> stall_retry_ns_{kStallRetryNsMin, kStallRetryNsMin};
  int group_removals_ = 0;
  ExitRecord exit_;
};

}  // namespace boxkeeper::launcher
