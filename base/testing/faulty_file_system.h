// A file system in memory that crashes, tears, fills up and fails on demand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/rng.h"

namespace boxkeeper::base {

enum class FileOperation {
  kOpen,
  kRead,
  kWrite,
  kTruncate,
  kPunch,
  kSync,
  kRename,
  kRemove,
  kSyncDir
};

// Starts with the directory "/" and no limit. Thread-safe. Files opened from it may outlive it or a
// Crash: each of their calls then fails with kDataLoss.
//
// What is durable: bytes and sizes by File::Sync, names by SyncDir of their directory (a Sync does
// not make the file's name durable). Directories themselves are durable at once.
class FaultyFileSystem final : public FileSystem {
 public:
  FaultyFileSystem();
  ~FaultyFileSystem() override;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectories(const std::string& path, uint32_t mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::Status SyncDir(const std::string& directory) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;

  // The power goes: each unsynced write is kept, dropped or torn and each unsynced creation, rename
  // and removal kept or dropped, independently, as `rng` says. Open files become useless, their
  // locks are free. Injected faults end.
  void Crash(Rng& rng);
  // The process dies, the machine does not: everything written stays. Open files become useless,
  // their locks are free.
  void KillProcess();

  // All files together may hold `bytes`; writes beyond store what fits and fail with
  // kResourceExhausted. nullopt: no limit. A capacity below what is in use refuses all growth.
  void SetCapacity(std::optional<uint64_t> bytes);
  uint64_t used_bytes() const;

  // Asked before each operation; an error is returned instead of doing it (a write does nothing, a
  // sync keeps its writes unsynced). Null: no faults.
  void SetFault(std::function<absl::Status(FileOperation, const std::string& path)> fault);
  // From now on a Sync of a file below `prefix` that a fault refuses forgets what was unsynced, as
  // Linux does: readers still see it, and no later Sync makes it durable unless it is written
  // again.
  void ForgetAtFailedSync(std::string prefix);
  // After `n` more operations that change something (write, truncate, punch, sync, rename, remove,
  // creating open, SyncDir) every operation fails with kDataLoss until Crash. For "crash at each
  // step" loops.
  void StopAfter(uint64_t n);
  bool stopped() const;
  // How many changing operations were asked for since construction.
  uint64_t changes() const;

  // Direct access for damage in tests. NotFound if absent. The new content is durable.
  absl::StatusOr<std::string> Content(const std::string& path) const;
  void SetContent(const std::string& path, std::string content);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base
