#include "base/fault_points.h"

namespace boxkeeper::base {

// Weak: base/testing/armed_fault_points.cc replaces them where it is linked.
__attribute__((weak)) void Failpoint(const char* /*name*/) {}
__attribute__((weak)) bool Mutated(const char* /*name*/) { return false; }

}  // namespace boxkeeper::base
