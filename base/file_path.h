// Paths of files inside a task's sandbox.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::base {

// Without empty and "." parts: "a//./b" is "a/b". nullopt for what a task's file may not be called:
// empty, no file's name at the end ("a/", "."), a ".." part, a NUL, above 4096 bytes or 255 a part.
std::optional<std::string> NormalFilePath(std::string_view path);

}  // namespace boxkeeper::base
