// The variables of the process, so that tests bring their own.
#pragma once

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

namespace boxkeeper::logs::remote {

// The value; nullopt if it is not set, or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

inline std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace boxkeeper::logs::remote
