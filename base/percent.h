// Percent-encoding of one path or key component.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::base {

// Every byte outside [A-Za-z0-9._~-] as %XX (upper-case hex). "." and ".." become "%2E" and
// "%2E%2E", so that a result is always safe as one component of a path. The empty text stays empty.
std::string PercentEncode(std::string_view text);
// The same, at the end of `out`.
void AppendPercentEncoded(std::string_view text, std::string& out);

// The inverse; hex in either case. nullopt for a '%' without two hex digits after it.
std::optional<std::string> PercentDecode(std::string_view text);

}  // namespace boxkeeper::base
