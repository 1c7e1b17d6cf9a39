// Environment, read at the first failpoint:
//   BOXKEEPER_FAILPOINT=<name>[:<n>][><name>[:<n>]...]   this process kills itself (SIGKILL) the
//   n-th
//                               time it passes <name>; n from 1, 1 if left out. A path "a>b": the
//                               passes of b count from the moment on at which a was passed.
//   BOXKEEPER_FAILPOINT_ONCE=<file>   only if this file is not there yet, and makes it: who starts
//                               again with the same environment is not killed again
#include "base/testing/armed_fault_points.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "base/fault_points.h"

namespace boxkeeper::base {
namespace {

struct Step {
  std::string name;
  long long left = 1;
};

struct Armed {
  std::mutex mutex;
  std::vector<Step> path;
  size_t next = 0;  // in `path`
};

Step ParseStep(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text};
  return {text.substr(0, colon), std::atoll(text.c_str() + colon + 1)};
}

Armed* MakeArmed() {
  auto* armed = new Armed;  // never destroyed: other threads pass until the very end
  const char* text = std::getenv("BOXKEEPER_FAILPOINT");
  if (text == nullptr) return armed;
  const std::string path = text;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('>', at), path.size());
    armed->path.push_back(ParseStep(path.substr(at, end - at)));
    at = end + 1;
  }
  return armed;
}

bool IsFirstTime() {
  const char* once = std::getenv("BOXKEEPER_FAILPOINT_ONCE");
  return once == nullptr || open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) >= 0;
}

std::string& Mutation() {
  static auto* mutation = new std::string;
  return *mutation;
}

}  // namespace

void Failpoint(const char* name) {
  static Armed* const armed = MakeArmed();
  const std::lock_guard lock(armed->mutex);
  if (armed->next == armed->path.size() || armed->path[armed->next].name != name) return;
  if (--armed->path[armed->next].left > 0) return;
  if (++armed->next < armed->path.size() || !IsFirstTime()) return;
  kill(getpid(), SIGKILL);
  pause();  // the signal is on its way: nothing after this moment may happen
}

bool Mutated(const char* name) { return Mutation() == name; }

namespace testing {

void SetMutation(const std::string& name) { Mutation() = name; }

}  // namespace testing
}  // namespace boxkeeper::base
