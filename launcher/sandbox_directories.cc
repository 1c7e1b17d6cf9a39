#include "launcher/sandbox_directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/file_io.h"
#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kSparesMax = 64;
constexpr const char* kRecordFiles[] = {kBootFile, kStartedFile, kPidFile, kExitFile};

// A command's user passes through, and sees nothing but its working directory.
constexpr mode_t kPassThrough = 0711;

std::string Beside(const char* record_file) { return std::string(record_file) + ".new"; }

std::vector<std::string> NamesIn(int directory) {
  std::vector<std::string> names;
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return names;
  DIR* entries = fdopendir(copy);
  while (const dirent* entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(entries);
  return names;
}

base::UniqueFd OpenDirectoryAt(int parent, const std::string& name) {
  return base::UniqueFd(
      openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

base::UniqueFd MakeDirectoryAt(int parent, const char* name, mode_t mode, std::string* error) {
  base::UniqueFd fd;
  if (mkdirat(parent, name, mode) == 0 || errno == EEXIST) fd = OpenDirectoryAt(parent, name);
  if (!fd.valid()) *error = std::string(name) + ": " + std::strerror(errno);
  return fd;
}

// Whether a working directory is as if new.
bool IsFresh(int sandbox) {
  struct stat status{};
  const base::UniqueFd work = OpenDirectoryAt(sandbox, kWorkDirectory);
  return work.valid() && fstat(work.get(), &status) == 0 && status.st_uid == geteuid() &&
         (status.st_mode & 07777) == 0700 && NamesIn(work.get()).empty();
}

}  // namespace

bool SandboxDirectories::Open(int launch, std::string* error) {
  sandboxes_ = MakeDirectoryAt(launch, "sandboxes", kPassThrough, error);
  trash_ = MakeDirectoryAt(launch, "trash", 0700, error);
  // Unlike any name that an earlier launcher has left.
  next_name_ = base::UnixNs();
  return sandboxes_.valid() && trash_.valid();
}

int SandboxDirectories::MakeSpare(std::string* name) {
  *name = std::to_string(next_name_++);
  if (mkdirat(trash_.get(), name->c_str(), kPassThrough) != 0) return errno;
  return mkdirat(trash_.get(), (*name + "/" + kWorkDirectory).c_str(), 0700) == 0 ? 0 : errno;
}

int SandboxDirectories::Create(const BootRecord& record) {
  std::string name;
  if (spares_.empty()) {
    if (const int error = MakeSpare(&name); error != 0) return error;
  } else {
    name = std::move(spares_.back());
    spares_.pop_back();
  }
  const base::UniqueFd directory = OpenDirectoryAt(trash_.get(), name);
  int error = directory.valid()
                  ? WriteRecord(directory.get(), kBootFile, record, base::Durability::kProcessCrash)
                  : errno;
  if (error == 0 &&
      renameat(trash_.get(), name.c_str(), sandboxes_.get(), record.id.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) base::RemoveTreeAt(trash_.get(), name);
  return error;
}

base::UniqueFd SandboxDirectories::OpenOne(const std::string& id) const {
  return OpenDirectoryAt(sandboxes_.get(), id);
}

std::vector<std::string> SandboxDirectories::Ids() const { return NamesIn(sandboxes_.get()); }

int SandboxDirectories::Retire(const std::string& id, std::string* retired) {
  *retired = std::to_string(next_name_++);
  return renameat(sandboxes_.get(), id.c_str(), trash_.get(), retired->c_str()) == 0 ? 0 : errno;
}

// Each record goes back to the name under which the next one is written.
bool SandboxDirectories::Clean(const std::string& name) const {
  const base::UniqueFd directory = OpenDirectoryAt(trash_.get(), name);
  if (!directory.valid() || !IsFresh(directory.get())) return false;
  std::vector<std::string> ours = {kWorkDirectory};
  for (const char* file : kRecordFiles) {
    ours.push_back(Beside(file));
    renameat(directory.get(), file, directory.get(), ours.back().c_str());
  }
  unlinkat(directory.get(), kScriptFile, 0);
  const std::vector<std::string> names = NamesIn(directory.get());
  return std::all_of(names.begin(), names.end(), [&](const std::string& found) {
    return std::find(ours.begin(), ours.end(), found) != ours.end();
  });
}

pid_t SandboxDirectories::Recycle(const std::string& retired) {
  if (spares_.size() >= kSparesMax || !Clean(retired)) return Discard(retired);
  spares_.push_back(retired);
  return 0;
}

pid_t SandboxDirectories::Discard(const std::string& retired) {
  const base::UniqueFd directory = OpenDirectoryAt(trash_.get(), retired);
  for (const char* file : kRecordFiles) {
    unlinkat(directory.get(), file, 0);
    unlinkat(directory.get(), Beside(file).c_str(), 0);
  }
  unlinkat(directory.get(), kScriptFile, 0);
  unlinkat(directory.get(), kWorkDirectory, AT_REMOVEDIR);
  if (unlinkat(trash_.get(), retired.c_str(), AT_REMOVEDIR) == 0) return 0;
  return ForkRemoval({retired});
}

// Only what is there now: the helper works while new ones are made beside it.
pid_t SandboxDirectories::DiscardOld() {
  const std::vector<std::string> names = NamesIn(trash_.get());
  return names.empty() ? 0 : ForkRemoval(names);
}

// Without a helper (no more processes) the kernel's own writing out has to do.
pid_t SandboxDirectories::SyncExits(const std::vector<std::string>& ids) {
  const pid_t pid = fork();
  if (pid != 0) return std::max(pid, 0);
  const int sandboxes = dup2(sandboxes_.Release(), 3);
  syscall(SYS_close_range, 4, ~0u, 0);
  for (const std::string& id : ids) {
    const base::UniqueFd directory = OpenDirectoryAt(sandboxes, id);
    const base::UniqueFd exit(
        openat(directory.get(), kExitFile, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!exit.valid()) continue;
    fdatasync(exit.get());
    fsync(directory.get());
  }
  _exit(0);
}

// Without a helper (no more processes) the next launcher removes it.
pid_t SandboxDirectories::ForkRemoval(const std::vector<std::string>& names) {
  const pid_t pid = fork();
  if (pid != 0) return std::max(pid, 0);
  // The launcher's lock and sockets must not live on here.
  const int trash = dup2(trash_.Release(), 3);
  syscall(SYS_close_range, 4, ~0u, 0);
  for (const std::string& name : names) base::RemoveTreeAt(trash, name);
  _exit(0);
}

}  // namespace boxkeeper::launcher
