#include "daemon/wiring/process_setup.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

namespace boxkeeper::daemon {

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
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace boxkeeper::daemon
