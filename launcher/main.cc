// boxlaunch --state_dir DIR [--idle_exit 30s] [--own_cgroup]: forks and supervises local sandboxes.
// See docs/launcher.md.

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/file_io.h"
#include "launcher/isolation/init.h"
#include "launcher/server.h"

namespace boxkeeper::launcher {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFailed = 1;
constexpr uint64_t kDefaultIdleExitNs = 30'000'000'000;

struct Flags {
  std::string state_dir;
  uint64_t idle_exit_ns = kDefaultIdleExitNs;
  bool own_cgroup = false;
  bool version = false;
};

// "500ms", "30s", "2m", "1h".
std::optional<uint64_t> ParseDurationNs(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  if (error != std::errc() || number > 1'000'000'000) return std::nullopt;
  if (unit == "ms") return number * 1'000'000;
  if (unit == "s") return number * 1'000'000'000;
  if (unit == "m") return number * 60'000'000'000;
  if (unit == "h") return number * 3'600'000'000'000;
  return std::nullopt;
}

bool ParseFlags(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--version") {
      flags->version = true;
      continue;
    }
    if (name == "--own_cgroup") {
      flags->own_cgroup = true;
      continue;
    }
    std::string_view value;
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    } else if (++i < argc) {
      value = argv[i];
    }
    if (name == "--state_dir" && !value.empty()) {
      flags->state_dir = value;
    } else if (const auto duration = ParseDurationNs(value); name == "--idle_exit" && duration) {
      flags->idle_exit_ns = *duration;
    } else {
      return false;
    }
  }
  return flags->version || !flags->state_dir.empty();
}

// Every signal blocked (they come by signalfd, or not at all) and at its default disposition, which
// commands inherit: a daemon that ignores SIGPIPE must not make its tasks do so.
void ResetSignals() {
  // Raw, because the C library keeps two for itself, and a parent may have ignored those as well.
  constexpr size_t kKernelSetBytes = 8;
  const char standard[64] = {};  // a struct kernel_sigaction of zeros: SIG_DFL
  for (int signal = 1; signal < NSIG; ++signal) {
    syscall(SYS_rt_sigaction, signal, standard, nullptr, kKernelSetBytes);
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

// As many descriptors as allowed, one per adopted supervisor; commands get the limit from before.
rlimit RaiseOpenFiles() {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit most = before;
  most.rlim_cur = most.rlim_max;
  setrlimit(RLIMIT_NOFILE, &most);
  return before;
}

bool HasOwnOomScoreAdj() {
  std::string text;
  base::ReadFileAt(-1, "/proc/self/oom_score_adj", 32, &text);
  return text != "0\n" && !text.empty();
}

int Main(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) {
    std::fputs("usage: boxlaunch --state_dir DIR [--idle_exit 30s] [--own_cgroup] | --version\n",
               stderr);
    return kExitUsage;
  }
  if (flags.version) {
    std::printf("boxlaunch %s (protocol %d)\n", kLauncherVersion, kProtocolVersion);
    return 0;
  }
  char path[PATH_MAX];
  if (realpath(flags.state_dir.c_str(), path) == nullptr) {
    std::fprintf(stderr, "boxlaunch: %s: %m\n", flags.state_dir.c_str());
    return kExitFailed;
  }
  ResetSignals();
  // Directories of mode 0711 (a command's user passes through, and sees nothing), files as asked
  // for.
  umask(066);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // Launch specs with secrets pass through a fork of this process: no core dump, no ptrace.
  prctl(PR_SET_DUMPABLE, 0);
  Server::Options options;
  options.state_dir = path;
  options.idle_exit_ns = flags.idle_exit_ns;
  options.own_cgroup = flags.own_cgroup;
  options.open_files = RaiseOpenFiles();
  options.reset_oom_score_adj = HasOwnOomScoreAdj();
  // The directory it was started in may be unmounted one day.
  (void)!chdir("/");
  std::string error;
  switch (Server(std::move(options)).Run(&error)) {
    case Server::Ended::kDone:
    case Server::Ended::kOtherServes:
      return 0;
    case Server::Ended::kFailed:
      break;
  }
  std::fprintf(stderr, "boxlaunch: %s\n", error.c_str());
  return kExitFailed;
}

}  // namespace
}  // namespace boxkeeper::launcher

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--init") boxkeeper::launcher::RunInit(argc, argv);
  return boxkeeper::launcher::Main(argc, argv);
}
