#include "providers/local/launcher_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "launcher/protocol.h"

namespace boxkeeper::providers::local {
namespace {

using namespace std::chrono_literals;

constexpr char kProgramName[] = "boxlaunch";
// A launcher that is alive and has not answered for so long gets a companion; the lock decides
// between them.
constexpr auto kPatience = 10s;
// So many that end at once are a fault to report; one or two are a race for the lock.
constexpr int kEndedInARowMax = 3;

bool IsExecutable(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string OwnDirectory() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0) return ".";
  const std::string program(path, static_cast<size_t>(length));
  return program.substr(0, program.rfind('/'));
}

std::string Describe(int wait_status) {
  if (WIFSIGNALED(wait_status)) return absl::StrCat("was killed by signal ", WTERMSIG(wait_status));
  return absl::StrCat("exited with ", WEXITSTATUS(wait_status));
}

// posix_spawn's two objects, freed together.
struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

void Detach(const std::string& log_path, SpawnSettings& settings) {
  posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&settings.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&settings.actions, STDERR_FILENO, log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, STDERR_FILENO + 1);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&settings.attributes, &all);
  posix_spawnattr_setsigmask(&settings.attributes, &none);
  posix_spawnattr_setflags(&settings.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

std::vector<std::string> MinimalEnvironment() {
  std::vector<std::string> environment;
  for (const char* name : {"PATH", "HOME", "LANG", "TZ"}) {
    if (const char* value = getenv(name)) environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<std::string> FindLauncher(const std::string& flag) {
  if (!flag.empty()) {
    if (IsExecutable(flag)) return flag;
    return absl::NotFoundError(absl::StrCat("--launcher ", flag, ": not an executable file"));
  }
  const std::string own = OwnDirectory();
  std::vector<std::string> places = {absl::StrCat(own, "/../launcher/", kProgramName),
                                     absl::StrCat(own, "/", kProgramName)};
  if (const char* path = getenv("PATH")) {
    for (const auto directory : absl::StrSplit(path, ':', absl::SkipEmpty())) {
      places.push_back(absl::StrCat(directory, "/", kProgramName));
    }
  }
  for (const std::string& place : places) {
    if (IsExecutable(place)) return place;
  }
  return absl::NotFoundError(absl::StrCat("boxlaunch is in none of ", absl::StrJoin(places, ", "),
                                          "; say --launcher PATH"));
}

LauncherProcess::LauncherProcess(base::Clock& clock, std::string program, std::string state_dir)
    : clock_(clock), program_(std::move(program)), state_dir_(std::move(state_dir)) {}

absl::Status LauncherProcess::Start() {
  Reap();
  if (child_ != 0 && clock_.Boot() < started_ + kPatience) return absl::OkStatus();
  const std::string directory = launcher::LaunchDirectory(state_dir_);
  const std::string log_path = absl::StrCat(directory, "/boxlaunch.log");
  const int ended_in_a_row = ended_in_a_row_;
  if (ended_in_a_row >= kEndedInARowMax) ended_in_a_row_ = 0;
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::UnavailableError(absl::StrCat("mkdir ", directory, ": ", strerror(errno)));
  }
  SpawnSettings settings;
  Detach(log_path, settings);
  std::vector<std::string> arguments = {program_, "--state_dir", state_dir_, "--own_cgroup"};
  std::vector<std::string> environment = MinimalEnvironment();
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program_.c_str(), &settings.actions, &settings.attributes,
                                Pointers(arguments).data(), Pointers(environment).data());
  if (error != 0)
    return absl::UnavailableError(absl::StrCat("start ", program_, ": ", strerror(error)));
  if (child_ != 0) earlier_.push_back(child_);
  child_ = pid;
  started_ = clock_.Boot();
  if (ended_in_a_row < kEndedInARowMax) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(program_, " ", Describe(last_status_), " at its start; see ", log_path));
}

void LauncherProcess::Succeeded() {
  Reap();
  ended_in_a_row_ = 0;
}

void LauncherProcess::Reap() {
  int status = 0;
  // Also where somebody else reaped it (ECHILD): then how it ended is not known.
  if (child_ != 0 && waitpid(child_, &status, WNOHANG) != 0) {
    child_ = 0;
    last_status_ = status;
    ++ended_in_a_row_;
  }
  std::erase_if(earlier_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
}

}  // namespace boxkeeper::providers::local
