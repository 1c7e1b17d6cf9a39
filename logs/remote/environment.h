// The variables of the process, so that tests bring their own.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>

namespace boxkeeper::logs::remote {

// The value; "" if it is not set: the clouds' own tools take an empty variable for one that is not.
using Environment = std::function<std::string(const std::string& name)>;

inline std::string ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

}  // namespace boxkeeper::logs::remote
