// How much of what a test could try it tries.
#pragma once

#include <cstdlib>

namespace boxkeeper::base {

// `all` in `tools/test --full`, which sets BOXKEEPER_FULL; else `everyday`.
inline int AtLength(int all, int everyday) {
  return std::getenv("BOXKEEPER_FULL") != nullptr ? all : everyday;
}

}  // namespace boxkeeper::base
