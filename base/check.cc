#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace boxkeeper::base {

void CheckFailed(const char* file, int line, const char* condition, std::string_view belief) {
  std::fprintf(stderr, "%s:%d: CHECK(%s) failed%s%.*s\n", file, line, condition,
               belief.empty() ? "" : ": ", static_cast<int>(belief.size()), belief.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace boxkeeper::base
