// YAML text -> Value, strictly: duplicate keys, aliases into themselves and trees that grow without
// bound are mistakes.
#pragma once

#include <string>
#include <vector>

#include "config/value.h"

namespace boxkeeper::config {

constexpr size_t kYamlBytesMax = 1 << 20;   // of a file
constexpr size_t kYamlValuesMax = 100'000;  // keys too, after aliases are expanded
constexpr int kYamlDepthMax = 64;
constexpr size_t kYamlProblemsMax = 1000;  // then reading ends

// The first document of `text` (an empty one is an empty map); a second document is a mistake.
// Anchors, aliases and merge keys (<<) work. Malformed YAML gives one mistake, with its line. Plain
// scalars follow the YAML 1.2 core schema; quoted ones are always text. Mistakes are appended to
// `problems`; what could be read is returned.
Value ParseYaml(const std::string& text, std::vector<Problem>* problems);

}  // namespace boxkeeper::config
