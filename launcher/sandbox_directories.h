// The directories of sandboxes: made, removed, and used again.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/records.h"

namespace boxkeeper::launcher {

// Owns `launch/sandboxes/<id>/` and `launch/trash/`. A sandbox appears and disappears by one
// rename, so that a half-made or half-emptied one is never taken for one. Directories of removed
// sandboxes in which the task left nothing serve again, with their files: making inodes where many
// were just deleted is what an ext4 is slowest at. The trash does not outlive its launcher.
class SandboxDirectories {
 public:
  // `launch` is the launch directory. False with `error` when they cannot be made.
  bool Open(int launch, std::string* error);

  // Makes the directory of a sandbox, with its boot record and `work`. 0 or an errno value.
  int Create(const BootRecord& record);
  base::UniqueFd OpenOne(const std::string& id) const;
  std::vector<std::string> Ids() const;

  // Makes the exit records of these durable, in a helper process, which is returned for reaping.
  pid_t SyncExits(const std::vector<std::string>& ids);

  // Takes a sandbox away: from here on it does not exist. 0 or an errno value; `retired` is for
  // Recycle or Discard.
  int Retire(const std::string& id, std::string* retired);
  // Keeps a retired directory for another sandbox, or discards it. No process of the old one may
  // be left, its supervisor included. Returns what Discard does.
  pid_t Recycle(const std::string& retired);
  // Removes a retired directory: at once if only we have written there, else in a helper process
  // (a task may leave a million files), which is returned for reaping; 0 = none.
  pid_t Discard(const std::string& retired);
  // The same for all that an earlier launcher left in the trash.
  pid_t DiscardOld();

 private:
  int MakeSpare(std::string* name);
  bool Clean(const std::string& name) const;
  pid_t ForkRemoval(const std::vector<std::string>& names);

  base::UniqueFd sandboxes_;
  base::UniqueFd trash_;
  std::vector<std::string> spares_;  // names in the trash
  uint64_t next_name_ = 0;
};

}  // namespace boxkeeper::launcher
