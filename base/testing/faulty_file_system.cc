#include "base/testing/faulty_file_system.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::base {
namespace {

// One change of a file's bytes since its last Sync.
struct Change {
  bool truncate = false;
  uint64_t offset = 0;  // of the write, or the new size
  std::string data;

  void ApplyTo(std::string& content, size_t bytes) const {
    if (truncate) {
      content.resize(offset);
      return;
    }
    if (content.size() < offset + bytes) content.resize(offset + bytes);
    content.replace(offset, bytes, data, 0, bytes);
  }
};

struct Inode {
  std::string content;  // what readers see
  std::string durable;  // as of the last Sync
  std::vector<Change> unsynced;
  bool locked = false;
};
using InodePtr = std::shared_ptr<Inode>;

// One change of a directory since its last SyncDir: `removed` loses its name, `added` names
// `inode`.
struct NameChange {
  std::string directory;
  std::string removed;
  std::string added;
  InodePtr inode;
};

}  // namespace

struct FaultyFileSystem::State {
  mutable std::mutex mutex;
  std::map<std::string, InodePtr> names;
  std::map<std::string, InodePtr> durable_names;
  std::vector<NameChange> unsynced_names;
  std::set<std::string> directories{"/", "."};
  std::optional<uint64_t> capacity;
  std::function<absl::Status(FileOperation, const std::string&)> fault;
  std::string forgetful;  // prefix; empty: nothing is
  std::optional<uint64_t> stop_after;
  uint64_t changes = 0;
  uint64_t generation = 0;  // raised by Crash and KillProcess

  uint64_t Used() const {
    uint64_t used = 0;
    for (const auto& [name, inode] : names) used += inode->content.size();
    return used;
  }

  bool Stopped() const { return stop_after && changes > *stop_after; }

  // First thing in each operation, with the mutex held.
  absl::Status Begin(FileOperation operation, const std::string& path, bool changing) {
    if (changing) ++changes;
    if (Stopped()) return absl::DataLossError(absl::StrCat(path, ": the power is off"));
    if (fault) return fault(operation, path);
    return absl::OkStatus();
  }

  void Release() {
    ++generation;
    for (auto& [name, inode] : names) inode->locked = false;
  }
};

namespace {

class FaultyFile final : public File {
 public:
  using State = FaultyFileSystem::State;
  FaultyFile(std::shared_ptr<State> state, std::string path, InodePtr inode, bool writable)
      : state_(std::move(state)),
        path_(std::move(path)),
        inode_(std::move(inode)),
        writable_(writable),
        generation_(state_->generation) {}

  ~FaultyFile() override {
    std::lock_guard lock(state_->mutex);
    if (holds_lock_ && generation_ == state_->generation) inode_->locked = false;
  }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    std::lock_guard lock(state_->mutex);
    RETURN_IF_ERROR(Begin(FileOperation::kRead, false));
    if (offset >= inode_->content.size()) return std::string();
    return inode_->content.substr(offset, size);
  }

  absl::Status WriteAt(uint64_t offset, std::string_view data) override {
    std::lock_guard lock(state_->mutex);
    return Write(offset, data);
  }

  absl::Status Append(std::string_view data) override {
    std::lock_guard lock(state_->mutex);
    return Write(inode_->content.size(), data);
  }

  absl::Status Truncate(uint64_t size) override {
    std::lock_guard lock(state_->mutex);
    RETURN_IF_ERROR(Begin(FileOperation::kTruncate, true));
    RETURN_IF_ERROR(CheckWritable());
    if (size > inode_->content.size() && Room() < size - inode_->content.size()) return Full();
    Record(Change{.truncate = true, .offset = size, .data = {}});
    return absl::OkStatus();
  }

  // Everything in the range reads as zeros; what is used is not less by it.
  absl::Status PunchHole(uint64_t from, uint64_t size) override {
    std::lock_guard lock(state_->mutex);
    RETURN_IF_ERROR(Begin(FileOperation::kPunch, true));
    RETURN_IF_ERROR(CheckWritable());
    const uint64_t end = std::min<uint64_t>(from + size, inode_->content.size());
    if (from >= end) return absl::OkStatus();
    Record(Change{.truncate = false, .offset = from, .data = std::string(end - from, '\0')});
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    std::lock_guard lock(state_->mutex);
    RETURN_IF_ERROR(Begin(FileOperation::kRead, false));
    return inode_->content.size();
  }

  absl::Status Sync() override {
    std::lock_guard lock(state_->mutex);
    if (absl::Status begun = Begin(FileOperation::kSync, true); !begun.ok()) {
      const std::string& forgetful = state_->forgetful;
      if (!forgetful.empty() && path_.starts_with(forgetful)) inode_->unsynced.clear();
      return begun;
    }
    for (const Change& change : inode_->unsynced) {
      change.ApplyTo(inode_->durable, change.data.size());
    }
    inode_->unsynced.clear();
    return absl::OkStatus();
  }

  absl::Status Lock() override {
    std::lock_guard lock(state_->mutex);
    RETURN_IF_ERROR(Begin(FileOperation::kRead, false));
    if (holds_lock_) return absl::OkStatus();
    if (inode_->locked) {
      return absl::FailedPreconditionError(absl::StrCat(path_, ": locked by another process"));
    }
    inode_->locked = holds_lock_ = true;
    return absl::OkStatus();
  }

 private:
  absl::Status Begin(FileOperation operation, bool changing) {
    if (generation_ != state_->generation) {
      return absl::DataLossError(absl::StrCat(path_, ": opened before the crash"));
    }
    return state_->Begin(operation, path_, changing);
  }

  absl::Status CheckWritable() const {
    if (writable_) return absl::OkStatus();
    return absl::PermissionDeniedError(absl::StrCat(path_, ": opened for reading"));
  }

  absl::Status Full() const {
    return absl::ResourceExhaustedError(absl::StrCat(path_, ": no space left"));
  }

  uint64_t Room() const {
    if (!state_->capacity) return UINT64_MAX;
    uint64_t used = state_->Used();
    return used < *state_->capacity ? *state_->capacity - used : 0;
  }

  void Record(Change change) {
    change.ApplyTo(inode_->content, change.data.size());
    inode_->unsynced.push_back(std::move(change));
  }

  absl::Status Write(uint64_t offset, std::string_view data) {
    RETURN_IF_ERROR(Begin(FileOperation::kWrite, true));
    RETURN_IF_ERROR(CheckWritable());
    uint64_t size = inode_->content.size();
    uint64_t end = offset + data.size();
    bool full = false;
    if (end > size && state_->capacity) {
      uint64_t room = Room();
      if (end - size > room) {
        full = true;
        uint64_t limit = size + room;
        data = data.substr(0, limit > offset ? limit - offset : 0);
      }
    }
    if (!data.empty()) {
      Record(Change{.truncate = false, .offset = offset, .data = std::string(data)});
    }
    return full ? Full() : absl::OkStatus();
  }

  std::shared_ptr<State> state_;
  std::string path_;
  InodePtr inode_;
  bool writable_;
  bool holds_lock_ = false;
  uint64_t generation_;
};

// Applies each unsynced change or not, or a part of it, to the durable content.
void CrashInode(Inode& inode, Rng& rng) {
  for (const Change& change : inode.unsynced) {
    switch (rng.Below(3)) {
      case 0:
        break;  // dropped
      case 1:
        change.ApplyTo(inode.durable, change.data.size());
        break;
      default:
        if (change.truncate) break;
        change.ApplyTo(inode.durable, rng.Below(change.data.size() + 1));
    }
  }
  inode.unsynced.clear();
  inode.content = inode.durable;
  inode.locked = false;
}

void ApplyNameChange(const NameChange& change, std::map<std::string, InodePtr>& names) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.inode;
}

}  // namespace

FaultyFileSystem::FaultyFileSystem() : state_(std::make_shared<State>()) {}
FaultyFileSystem::~FaultyFileSystem() { KillProcess(); }

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path,
                                                             OpenOptions options) {
  std::lock_guard lock(state_->mutex);
  auto found = state_->names.find(path);
  bool creates = found == state_->names.end() && options.create;
  RETURN_IF_ERROR(state_->Begin(FileOperation::kOpen, path, creates || options.truncate));
  if (state_->directories.contains(path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  if (found == state_->names.end()) {
    if (!options.create || !state_->directories.contains(ParentDirectory(path))) {
      return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    }
    found = state_->names.emplace(path, std::make_shared<Inode>()).first;
    state_->unsynced_names.push_back({ParentDirectory(path), "", path, found->second});
  } else if (options.create && options.exclusive) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": exists"));
  }
  InodePtr inode = found->second;
  if (options.truncate && !inode->content.empty()) {
    inode->content.clear();
    inode->unsynced.push_back(Change{.truncate = true, .offset = 0, .data = {}});
  }
  return std::make_unique<FaultyFile>(state_, path, std::move(inode), options.write);
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(state_->mutex);
  RETURN_IF_ERROR(state_->Begin(FileOperation::kRename, from, true));
  auto found = state_->names.find(from);
  if (found == state_->names.end()) {
    return absl::NotFoundError(absl::StrCat(from, ": no such file"));
  }
  NameChange change{ParentDirectory(to), from, to, found->second};
  ApplyNameChange(change, state_->names);
  state_->unsynced_names.push_back(std::move(change));
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  std::lock_guard lock(state_->mutex);
  RETURN_IF_ERROR(state_->Begin(FileOperation::kRemove, path, true));
  if (!state_->names.contains(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  NameChange change{ParentDirectory(path), path, "", nullptr};
  ApplyNameChange(change, state_->names);
  state_->unsynced_names.push_back(std::move(change));
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::MakeDirectories(const std::string& path, uint32_t) {
  std::lock_guard lock(state_->mutex);
  for (std::string p = path; !state_->directories.contains(p); p = ParentDirectory(p)) {
    if (state_->names.contains(p)) {
      return absl::AlreadyExistsError(absl::StrCat(p, ": is a file"));
    }
    state_->directories.insert(p);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(const std::string& directory) {
  std::lock_guard lock(state_->mutex);
  if (!state_->directories.contains(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": no such directory"));
  }
  std::set<std::string> names;
  auto add = [&](const std::string& path) {
    if (path != directory && ParentDirectory(path) == directory) {
      names.insert(path.substr(path.rfind('/') + 1));
    }
  };
  for (const auto& [path, inode] : state_->names) add(path);
  for (const std::string& path : state_->directories) add(path);
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<bool> FaultyFileSystem::Exists(const std::string& path) {
  std::lock_guard lock(state_->mutex);
  return state_->names.contains(path) || state_->directories.contains(path);
}

absl::Status FaultyFileSystem::SyncDir(const std::string& directory) {
  std::lock_guard lock(state_->mutex);
  RETURN_IF_ERROR(state_->Begin(FileOperation::kSyncDir, directory, true));
  if (!state_->directories.contains(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": no such directory"));
  }
  std::erase_if(state_->unsynced_names, [&](const NameChange& change) {
    if (change.directory != directory) return false;
    ApplyNameChange(change, state_->durable_names);
    return true;
  });
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FaultyFileSystem::FreeBytes(const std::string&) {
  std::lock_guard lock(state_->mutex);
  if (!state_->capacity) return uint64_t{1} << 40;
  uint64_t used = state_->Used();
  return used < *state_->capacity ? *state_->capacity - used : 0;
}

void FaultyFileSystem::Crash(Rng& rng) {
  std::lock_guard lock(state_->mutex);
  for (const NameChange& change : state_->unsynced_names) {
    if (rng.Below(2) == 0) ApplyNameChange(change, state_->durable_names);
  }
  state_->unsynced_names.clear();
  state_->Release();
  state_->names = state_->durable_names;
  std::set<Inode*> crashed;  // One inode may have two names after a rename that was half kept.
  for (auto& [name, inode] : state_->names) {
    if (crashed.insert(inode.get()).second) CrashInode(*inode, rng);
  }
  state_->fault = nullptr;
  state_->stop_after.reset();
}

void FaultyFileSystem::KillProcess() {
  std::lock_guard lock(state_->mutex);
  state_->Release();
}

void FaultyFileSystem::SetCapacity(std::optional<uint64_t> bytes) {
  std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

uint64_t FaultyFileSystem::used_bytes() const {
  std::lock_guard lock(state_->mutex);
  return state_->Used();
}

void FaultyFileSystem::SetFault(
    std::function<absl::Status(FileOperation, const std::string&)> fault) {
  std::lock_guard lock(state_->mutex);
  state_->fault = std::move(fault);
}

void FaultyFileSystem::ForgetAtFailedSync(std::string prefix) {
  std::lock_guard lock(state_->mutex);
  state_->forgetful = std::move(prefix);
}

void FaultyFileSystem::StopAfter(uint64_t n) {
  std::lock_guard lock(state_->mutex);
  state_->stop_after = state_->changes + n;
}

bool FaultyFileSystem::stopped() const {
  std::lock_guard lock(state_->mutex);
  return state_->Stopped();
}

uint64_t FaultyFileSystem::changes() const {
  std::lock_guard lock(state_->mutex);
  return state_->changes;
}

absl::StatusOr<std::string> FaultyFileSystem::Content(const std::string& path) const {
  std::lock_guard lock(state_->mutex);
  auto found = state_->names.find(path);
  if (found == state_->names.end()) return absl::NotFoundError(path);
  return found->second->content;
}

void FaultyFileSystem::SetContent(const std::string& path, std::string content) {
  std::lock_guard lock(state_->mutex);
  InodePtr& inode = state_->names[path];
  if (!inode) inode = std::make_shared<Inode>();
  inode->durable = inode->content = std::move(content);
  inode->unsynced.clear();
  state_->durable_names[path] = inode;
  std::erase_if(state_->unsynced_names,
                [&](const NameChange& c) { return c.added == path || c.removed == path; });
}

}  // namespace boxkeeper::base
