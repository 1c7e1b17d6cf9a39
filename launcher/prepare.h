// What has to stand before a command can run: its directory, files, arguments and environment.
#pragma once

#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/account.h"
#include "launcher/launch_spec.h"

namespace boxkeeper::launcher {

// Acts with another user's rights while it lives (effective ids and groups; the process must have
// one thread): a path named by a task never reaches what the task's user may not touch.
class ScopedUser {
 public:
  explicit ScopedUser(const Account& account);
  ~ScopedUser();
  ScopedUser(const ScopedUser&) = delete;
  ScopedUser& operator=(const ScopedUser&) = delete;

  bool ok() const { return ok_; }

 private:
  bool ok_ = true;
  bool switched_ = false;
  std::vector<gid_t> groups_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

// Where a sandbox lives.
struct SandboxPlace {
  std::string id;
  int directory = -1;  // open
  std::string path;    // the same, absolute
};

// Opens the working directory, as `account`: the sandbox's own `work` if the spec names none.
base::UniqueFd OpenWorkdir(const SandboxPlace& place, const LaunchSpec& spec,
                           const Account& account, std::string* error);

// Opens the blobs of the spec's files, in their order. False with `error` for the first that cannot
// be opened.
bool OpenBlobs(const LaunchSpec& spec, std::vector<base::UniqueFd>* blobs, std::string* error);

// Writes the spec's files, as `account`, relative ones below `workdir`; `blobs` are those of
// OpenBlobs. False with `error` for the first that cannot be written, or whose blob is damaged.
bool WriteFiles(const LaunchSpec& spec, const std::vector<base::UniqueFd>& blobs,
                const Account& account, int workdir, std::string* error);

// Opens the command's standard input, as `account`. Valid but for an `error`; `otherwise` where the
// spec names none.
base::UniqueFd OpenStdin(const LaunchSpec& spec, const Account& account, int workdir, int otherwise,
                         std::string* error);

// Overwrites and removes the secret ones, as `account`; what is gone already is fine. `paths` are
// the spec's.
void RemoveSecretFiles(const std::vector<std::string>& paths, const Account& account, int workdir);

// Whether the command's memory will hold secrets.
bool HasSecrets(const LaunchSpec& spec);

// The program and its arguments; writes the script of a kScript command into the sandbox.
bool MakeArguments(const SandboxPlace& place, const LaunchSpec& spec, const Account& account,
                   std::vector<std::string>* argv, std::string* error);

// "NAME=value" for the command: nothing is inherited. The minimal set PATH, HOME, USER, LOGNAME,
// LANG, then `env`, then `secret_env` (a later one of the same name wins), and last the sandbox's
// mark, which cannot be overridden.
std::vector<std::string> MakeEnvironment(const SandboxPlace& place, const LaunchSpec& spec,
                                         const Account& account);

// The paths that execvp(3) would try for `program`, by the PATH in `environment`.
std::vector<std::string> ProgramCandidates(const std::string& program,
                                           const std::vector<std::string>& environment);

}  // namespace boxkeeper::launcher
