#include "launcher/isolation/etc_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/file_io.h"
#include "base/core/unique_fd.h"

namespace boxkeeper::launcher {
namespace {

// Names in /etc, and "java*": the versions' folders.
constexpr const char* kCopied[] = {
    "ld.so.cache",    "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl",        "ca-certificates",
    "localtime",      "timezone",   "protocols",    "services",     "mime.types", "os-release",
    "debian_version", "profile",    "bash.bashrc",  "inputrc",      "terminfo",   "fonts",
    "magic",          "perl",       "python3",      "resolv.conf"};
constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:sandbox:/work:/bin/sh\n";
constexpr char kGroup[] = "root:x:0:\nnogroup:x:65534:\n";
constexpr char kHosts[] = "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n";
constexpr char kNsswitch[] = "passwd: files\ngroup: files\nhosts: files dns\n";
// Bounds of what is copied.
constexpr int kEntriesMax = 8192;
constexpr int kDepthMax = 8;
constexpr off_t kFileBytesMax = 64 << 20;

bool WriteText(int directory, const char* name, std::string_view text) {
  const base::UniqueFd fd(openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return false;
  errno = base::WriteAll(fd.get(), text);
  return errno == 0 && fchmod(fd.get(), 0644) == 0;
}

// An empty one that everybody may enter, whatever the umask.
base::UniqueFd MakeFolder(int parent, const char* name) {
  if (mkdirat(parent, name, 0755) != 0) return {};
  base::UniqueFd folder(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid() || fchmod(folder.get(), 0755) != 0) return {};
  return folder;
}

class Copier {
 public:
  // What cannot be read is left out: a sandbox without it still works.
  void Copy(int from, const char* name, int to, int depth) {
    struct stat status{};
    if (++entries_ > kEntriesMax || depth > kDepthMax ||
        fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return;
    }
    if (S_ISLNK(status.st_mode)) {
      char target[4096];
      const ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);
      if (length <= 0) return;
      target[length] = '\0';
      (void)!symlinkat(target, to, name);
    } else if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0) {
      CopyFile(from, name, to, name, 0644);
    } else if (S_ISDIR(status.st_mode) && (status.st_mode & (S_IROTH | S_IXOTH)) == 5) {
      CopyFolder(from, name, to, depth);
    }
  }

 private:
  void CopyFolder(int from, const char* name, int to, int depth) {
    base::UniqueFd source(openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const base::UniqueFd target = source.valid() ? MakeFolder(to, name) : base::UniqueFd();
    if (!target.valid()) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(source.Release()), closedir);
    if (listing == nullptr) return;
    while (const dirent* entry = readdir(listing.get())) {
      const std::string_view child = entry->d_name;
      if (child == "." || child == "..") continue;
      Copy(dirfd(listing.get()), entry->d_name, target.get(), depth + 1);
    }
  }

  int entries_ = 0;
};

void CopyHosts(int to) {
  const base::UniqueFd etc(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!etc.valid()) return;
  Copier copier;
  for (const char* name : kCopied) copier.Copy(etc.get(), name, to, 0);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(dup(etc.get())), closedir);
  while (const dirent* entry = listing == nullptr ? nullptr : readdir(listing.get())) {
    if (std::string_view(entry->d_name).starts_with("java")) {
      copier.Copy(etc.get(), entry->d_name, to, 0);
    }
  }
}

}  // namespace

bool CopyFile(int from_directory, const char* from, int to_directory, const char* to, mode_t mode) {
  const base::UniqueFd source(openat(from_directory, from, O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!source.valid() || fstat(source.get(), &status) != 0) return false;
  if (!S_ISREG(status.st_mode) || status.st_size > kFileBytesMax) {
    errno = EFBIG;
    return false;
  }
  unlinkat(to_directory, to, 0);
  const base::UniqueFd target(
      openat(to_directory, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!target.valid()) return false;
  // In small steps: what the launcher has ever held is in the footprint of each supervisor.
  char bytes[64 * 1024];
  for (;;) {
    const ssize_t got = read(source.get(), bytes, sizeof(bytes));
    if (got < 0) return false;
    if (got == 0) return fchmod(target.get(), mode) == 0;
    errno = base::WriteAll(target.get(), std::string_view(bytes, static_cast<size_t>(got)));
    if (errno != 0) return false;
  }
}

bool MakeEtcTree(int parent, const char* name) {
  const base::UniqueFd folder = MakeFolder(parent, name);
  if (!folder.valid()) return false;
  CopyHosts(folder.get());
  return WriteText(folder.get(), "passwd", kPasswd) && WriteText(folder.get(), "group", kGroup) &&
         WriteText(folder.get(), "hosts", kHosts) &&
         WriteText(folder.get(), "nsswitch.conf", kNsswitch);
}

}  // namespace boxkeeper::launcher
