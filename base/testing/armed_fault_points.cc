// Environment, read at the first failpoint:
//   BOXKEEPER_FAILPOINT=<name>[:<n>]   this process kills itself (SIGKILL) the n-th time it passes
//                                      <name>; n from 1, 1 if left out
#include "base/testing/armed_fault_points.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "base/fault_points.h"

namespace boxkeeper::base {
namespace {

struct Armed {
  std::string name;
  std::atomic<int64_t> left{0};
};

Armed* MakeArmed() {
  auto* armed = new Armed;  // never destroyed: other threads pass until the very end
  const char* text = std::getenv("BOXKEEPER_FAILPOINT");
  if (text == nullptr) return armed;
  armed->name = text;
  const size_t colon = armed->name.find(':');
  armed->left = colon == std::string::npos ? 1 : std::atoll(armed->name.c_str() + colon + 1);
  armed->name = armed->name.substr(0, colon);
  return armed;
}

std::string& Mutation() {
  static auto* mutation = new std::string;
  return *mutation;
}

}  // namespace

void Failpoint(const char* name) {
  static Armed* const armed = MakeArmed();
  if (armed->name != name) return;
  if (armed->left.fetch_sub(1) != 1) return;
  kill(getpid(), SIGKILL);
  pause();  // the signal is on its way: nothing after this moment may happen
}

bool Mutated(const char* name) { return Mutation() == name; }

namespace testing {

void SetMutation(const std::string& name) { Mutation() = name; }

}  // namespace testing
}  // namespace boxkeeper::base
