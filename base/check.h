// CHECK for programmers' errors, in all builds. Never for input, network, disk or a provider's
// answer.
#pragma once

#include <string_view>

namespace boxkeeper::base {

// Writes one line to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view belief = {});

}  // namespace boxkeeper::base

// CHECK(cond) or CHECK(cond, "the belief that turned out wrong").
#define CHECK(condition, ...)                                                                    \
  do {                                                                                           \
    if (!(condition)) [[unlikely]] {                                                             \
      ::boxkeeper::base::CheckFailed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__); \
    }                                                                                            \
  } while (false)
