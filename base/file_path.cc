#include "base/file_path.h"

#include <algorithm>

namespace boxkeeper::base {

std::optional<std::string> NormalFilePath(std::string_view path) {
  constexpr size_t kPathMax = 4096;  // Linux: PATH_MAX
  constexpr size_t kPartMax = 255;   // Linux: NAME_MAX
  if (path.empty() || path.size() > kPathMax || path.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  const bool absolute = path.front() == '/';
  std::string normal = absolute ? "/" : "";
  std::string_view last;
  for (size_t from = 0; from <= path.size();) {
    const size_t to = std::min(path.find('/', from), path.size());
    last = path.substr(from, to - from);
    from = to + 1;
    if (last.empty() || last == ".") continue;
    if (last == ".." || last.size() > kPartMax) return std::nullopt;
    if (!normal.empty() && normal.back() != '/') normal += '/';
    normal += last;
  }
  if (last.empty() || last == ".") return std::nullopt;  // names a directory
  return normal;
}

}  // namespace boxkeeper::base
