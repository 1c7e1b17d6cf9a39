#include "daemon/wiring/process_setup.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>

#include "absl/synchronization/mutex.h"

namespace boxkeeper::daemon {
namespace {

// Enough for 10 000 connections and their tasks; not more, because tasks inherit it through
// boxlaunch, and programs exist that close every descriptor up to the limit.
constexpr rlim_t kOpenFiles = 65536;

}  // namespace

void SetUpProcess() {
  umask(0077);
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0;  // the hard limit stays: a task may want its own core files
  setrlimit(RLIMIT_CORE, &core);
  // Also where core_pattern is a pipe, which ignores the limit.
  prctl(PR_SET_DUMPABLE, 0);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::max(files.rlim_cur, std::min(files.rlim_max, kOpenFiles));
    setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGPIPE, SIG_IGN);
#ifdef NDEBUG
  // Debian's abseil is a debug build: each lock of gRPC's would look for cycles, under one lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace boxkeeper::daemon
