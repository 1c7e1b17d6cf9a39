// Base64 of RFC 4648. (HMAC-SHA-256 and SHA-256 are in base/sha256.h.)
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::base {

// The standard alphabet, with padding.
std::string Base64Encode(std::string_view bytes);
// The alphabet that is safe in URLs and file names, without padding (JWT).
std::string Base64UrlEncode(std::string_view bytes);

// Either alphabet, with or without padding; a line break at the end is ignored, as key files have
// one. nullopt for anything else.
std::optional<std::string> Base64Decode(std::string_view text);

}  // namespace boxkeeper::base
