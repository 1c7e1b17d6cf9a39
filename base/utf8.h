// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace boxkeeper::base {

// Bytes (1 to 4) of the valid sequence at the front of `text`; 0 if there is none (invalid, cut
// short, or empty).
size_t Utf8Length(std::string_view text);

// True if `text` is empty or a sequence of valid characters.
bool IsUtf8(std::string_view text);

}  // namespace boxkeeper::base
