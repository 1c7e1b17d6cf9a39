// One command in a sandbox of its own: starts bwrap, and hears from the init inside.
#pragma once

#include <sys/resource.h>

#include <optional>
#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/account.h"
#include "launcher/isolation/host.h"
#include "launcher/isolation/init_link.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {

struct IsolatedRequest {
  const IsolationHost* host = nullptr;
  const LaunchSpec* spec = nullptr;  // isolation and limits count here
  int memfd = -1;                    // the whole spec, sealed, for the init
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int outputs_fd = -1;                     // see InitArguments
  std::vector<base::UniqueFd> blobs = {};  // of OpenBlobs
  Account account;
  std::string work_path;  // see BubblewrapRequest
  std::string sandbox_id;
  rlimit open_files{};
  uint64_t address_space = 0;  // of the command, see SpawnRequest; the next is of all
  std::vector<int> group_entries;
  bool set_oom_score_adj = false;
};

class IsolatedCommand {
 public:
  // Starts bwrap. False with `error`: nothing runs. True says nothing of the command yet.
  bool Spawn(const IsolatedRequest& request, std::string* error);

  // Of bwrap, which ends after everything inside.
  pid_t pid() const { return pid_; }
  base::UniqueFd TakePidfd() { return std::move(pidfd_); }

  // Becomes readable with each report and at the end of the init. Non-blocking after Started.
  int report_fd() const { return reports_.get(); }
  // Waits for the first report: whether the command began. Nothing: all ended before it was told.
  std::optional<InitReport> AwaitStart();
  // A report that has come since; nothing = none, for now or for good.
  std::optional<InitReport> Next();
  // Whether the init has closed its end: no report will come.
  bool ended() const { return ended_; }
  // What bwrap said on its stderr; "" = nothing. To be asked when it has ended.
  std::string Complaint() const;

 private:
  std::optional<InitReport> Read();

  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  base::UniqueFd reports_;
  base::UniqueFd complaints_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace boxkeeper::launcher
