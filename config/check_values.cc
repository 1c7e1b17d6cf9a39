#include "config/check_values.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace boxkeeper::config {

void Add(Problems* problems, std::string key, std::string message) {
  problems->push_back({.key = std::move(key), .message = std::move(message)});
}

bool IsAbsolute(const std::string& path) { return !path.empty() && path.front() == '/'; }

std::string Absolute(const std::string& state_dir, const std::string& path) {
  if (path.empty() || IsAbsolute(path)) return path;
  return (std::filesystem::path(state_dir) / path).lexically_normal().string();
}

void CheckReadable(const std::string& path, const std::string& key, Problems* problems) {
  if (path.empty()) return;
  std::ifstream file(path);
  char first = 0;
  // Reading one byte tells a directory from a file.
  if (!file.is_open() || (!file.get(first) && !file.eof())) {
    const int error = errno;
    Add(problems, key,
        absl::StrCat("cannot read ", path, ": ", std::strerror(error),
                     "; allowed: a file the daemon may read"));
  }
}

}  // namespace boxkeeper::config
