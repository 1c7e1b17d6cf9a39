// How a blob is named: by its content.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace boxkeeper::blobs {

// Whether `text` is a SHA-256 in lower-case hexadecimal digits.
inline bool IsBlobName(std::string_view text) {
  constexpr size_t kDigits = 64;
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace boxkeeper::blobs
