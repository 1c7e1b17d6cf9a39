#include "launcher/prepare.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>

#include "base/core/bytes.h"
#include "base/core/file_io.h"
#include "base/core/sha256.h"
#include "launcher/process_tree.h"
#include "launcher/records.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kCopyBytes = 256 * 1024;
constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string Describe(const std::string& what) { return what + ": " + std::strerror(errno); }

bool IsSelf(const Account& account) {
  return account.uid == geteuid() && account.gid == getegid() && account.groups.empty();
}

// Makes the directories above the last component of `path`.
bool MakeParents(int workdir, const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (mkdirat(workdir, parent.c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

// 0, or errno; EBADMSG: not the content that it should be.
int CopyBlob(int from, const LaunchFile& file, int to) {
  base::CoreSha256 sum;
  std::string buffer(kCopyBytes, '\0');
  off_t offset = 0;
  for (;;) {
    const ssize_t got = pread(from, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return sum.Finish() == file.blob_sha256 ? 0 : EBADMSG;
    const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
    sum.Add(bytes);
    if (const int error = base::WriteAll(to, bytes); error != 0) return error;
    offset += got;
  }
}

// `blob`: of a file that has one.
bool WriteOne(const LaunchFile& file, int blob, int workdir) {
  if (!MakeParents(workdir, file.path)) return false;
  const char* path = file.path.c_str();
  if (unlinkat(workdir, path, 0) != 0 && errno != ENOENT) return false;
  const base::UniqueFd fd(
      openat(workdir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return false;
  errno = blob >= 0 ? CopyBlob(blob, file, fd.get()) : base::WriteAll(fd.get(), file.content);
  if (errno != 0) return false;
  return fchmod(fd.get(), file.secret ? 0400 : file.mode) == 0;
}

void RemoveSecretFile(int workdir, const char* path) {
  // Readable by its owner only for reading: writing needs a moment of more.
  const base::UniqueFd handle(openat(workdir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (handle.valid() && fstat(handle.get(), &status) == 0 && S_ISREG(status.st_mode) &&
      fchmod(handle.get(), 0600) == 0) {
    const base::UniqueFd fd(openat(workdir, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.valid()) {
      base::WriteAll(fd.get(), std::string(static_cast<size_t>(status.st_size), '\0'));
    }
  }
  unlinkat(workdir, path, 0);
}

std::string NameOf(const std::string& entry) { return entry.substr(0, entry.find('=')); }

// The value of `name` in an environment of unique names; "" when unset.
std::string_view ValueOf(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string_view entry : environment) {
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) {
      return entry.substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace

ScopedUser::ScopedUser(const Account& account) : uid_(geteuid()), gid_(getegid()) {
  if (IsSelf(account) || uid_ != 0) {
    ok_ = account.uid == uid_;
    errno = EPERM;
    return;
  }
  groups_.resize(static_cast<size_t>(std::max(0, getgroups(0, nullptr))));
  groups_.resize(static_cast<size_t>(
      std::max(0, getgroups(static_cast<int>(groups_.size()), groups_.data()))));
  switched_ = true;
  ok_ = setgroups(account.groups.size(), account.groups.data()) == 0 && setegid(account.gid) == 0 &&
        seteuid(account.uid) == 0;
}

ScopedUser::~ScopedUser() {
  if (!switched_) return;
  const int saved = errno;
  // Going on with half of another user's rights would be worse than dying.
  if (seteuid(uid_) != 0 || setegid(gid_) != 0 || setgroups(groups_.size(), groups_.data()) != 0) {
    _exit(71);
  }
  errno = saved;
}

base::UniqueFd OpenWorkdir(const SandboxPlace& place, const LaunchSpec& spec,
                           const Account& account, std::string* error) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  base::UniqueFd fd;
  if (spec.workdir.empty()) {
    if (account.uid == geteuid() ||
        fchownat(place.directory, kWorkDirectory, account.uid, account.gid, 0) == 0) {
      fd.Reset(openat(place.directory, kWorkDirectory, kFlags | O_NOFOLLOW));
    }
  } else if (const ScopedUser user(account); user.ok()) {
    fd.Reset(open(spec.workdir.c_str(), kFlags));
  }
  if (!fd.valid()) *error = Describe("workdir '" + spec.workdir + "'");
  return fd;
}

bool OpenBlobs(const LaunchSpec& spec, std::vector<base::UniqueFd>* blobs, std::string* error) {
  for (const LaunchFile& file : spec.files) {
    if (file.blob_path.empty()) continue;
    base::UniqueFd& blob = blobs->emplace_back(
        open(file.blob_path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!blob.valid() || fstat(blob.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      if (blob.valid()) errno = EINVAL;
      *error = Describe("file '" + file.path + "': its blob on the daemon's host");
      return false;
    }
  }
  return true;
}

bool WriteFiles(const LaunchSpec& spec, const std::vector<base::UniqueFd>& blobs,
                const Account& account, int workdir, std::string* error) {
  if (spec.files.empty()) return true;
  const ScopedUser user(account);
  if (!user.ok()) {
    *error = Describe("files: act as user " + account.name);
    return false;
  }
  auto blob = blobs.begin();
  for (const LaunchFile& file : spec.files) {
    const bool has_blob = !file.blob_path.empty();
    if (WriteOne(file, has_blob ? (blob++)->get() : -1, workdir)) continue;
    *error = "file '" + file.path + "'";
    *error = has_blob && errno == EBADMSG ? *error + ": its blob on the daemon's host is damaged"
                                          : Describe(*error);
    return false;
  }
  return true;
}

base::UniqueFd OpenStdin(const LaunchSpec& spec, const Account& account, int workdir, int otherwise,
                         std::string* error) {
  if (spec.stdin_path.empty()) return base::UniqueFd(fcntl(otherwise, F_DUPFD_CLOEXEC, 3));
  const ScopedUser user(account);
  base::UniqueFd fd;
  // Without O_NONBLOCK a FIFO would be waited for.
  if (user.ok()) {
    fd.Reset(openat(workdir, spec.stdin_path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  struct stat status{};
  if (fd.valid() && (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))) {
    *error = "stdin '" + spec.stdin_path + "': is no regular file";
    return base::UniqueFd();
  }
  if (!fd.valid()) {
    *error = Describe("stdin '" + spec.stdin_path + "'");
  } else {
    fcntl(fd.get(), F_SETFL, 0);
  }
  return fd;
}

void RemoveSecretFiles(const std::vector<std::string>& paths, const Account& account, int workdir) {
  if (paths.empty()) return;
  const ScopedUser user(account);
  if (!user.ok()) return;
  for (const std::string& path : paths) RemoveSecretFile(workdir, path.c_str());
}

bool HasSecrets(const LaunchSpec& spec) {
  return !spec.secret_env.empty() ||
         std::any_of(spec.files.begin(), spec.files.end(),
                     [](const LaunchFile& file) { return file.secret; });
}

bool MakeArguments(const SandboxPlace& place, const LaunchSpec& spec, const Account& account,
                   std::vector<std::string>* argv, std::string* error) {
  const Command& command = spec.command;
  switch (command.kind) {
    case CommandKind::kArgv:
      *argv = command.argv;
      return true;
    case CommandKind::kShell:
      *argv = {"/bin/sh", "-c", command.text};
      return true;
    case CommandKind::kScript:
      break;
  }
  const base::UniqueFd fd(openat(place.directory, kScriptFile,
                                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0400));
  bool written = false;
  if (fd.valid()) {
    errno = base::WriteAll(fd.get(), command.text);
    written =
        errno == 0 && (account.uid == geteuid() || fchown(fd.get(), account.uid, account.gid) == 0);
  }
  if (!written) {
    *error = Describe("script");
    return false;
  }
  // Another user may be kept out of the state directory, but stands in `work` already.
  const bool reach_from_work = account.uid != geteuid() && spec.workdir.empty();
  const std::string path = (reach_from_work ? ".." : place.path) + "/" + kScriptFile;
  if (command.lang == "python") {
    // Unbuffered, so that what it prints is in the log while it runs.
    *argv = {"python3", "-u", path};
  } else {
    *argv = {command.lang, path};
  }
  return true;
}

std::vector<std::string> MakeEnvironment(const SandboxPlace& place, const LaunchSpec& spec,
                                         const Account& account) {
  std::vector<std::string> entries = {
      std::string("PATH=") + kDefaultPath,
      "HOME=" + (account.home.empty() ? place.path + "/" + kWorkDirectory : account.home),
      "USER=" + account.name,
      "LOGNAME=" + account.name,
      "LANG=C.UTF-8",
  };
  for (const std::vector<EnvVar>* variables : {&spec.env, &spec.secret_env}) {
    for (const EnvVar& variable : *variables) {
      // Reserved first: growing would leave copies of a secret behind.
      std::string entry;
      entry.reserve(variable.name.size() + 1 + variable.value.size());
      entry.append(variable.name).append("=").append(variable.value);
      entries.push_back(std::move(entry));
    }
  }
  entries.push_back(std::string(kSandboxVariable) + "=" + place.id);
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < entries.size(); ++i) last[NameOf(entries[i])] = i;
  std::vector<std::string> environment;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (last[NameOf(entries[i])] == i) {
      environment.push_back(std::move(entries[i]));
    } else {
      base::WipeString(entries[i]);
    }
  }
  return environment;
}

std::vector<std::string> ProgramCandidates(const std::string& program,
                                           const std::vector<std::string>& environment) {
  if (program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  std::string_view path = ValueOf(environment, "PATH");
  for (;;) {
    const size_t end = path.find(':');
    const std::string_view directory = path.substr(0, end);
    // An empty element means the working directory, as execvp has it.
    candidates.push_back(directory.empty() ? "./" + program
                                           : std::string(directory) + "/" + program);
    if (end == std::string_view::npos) return candidates;
    path.remove_prefix(end + 1);
  }
}

}  // namespace boxkeeper::launcher
