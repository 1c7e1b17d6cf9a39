// Object names and query values as cloud storages want them in a request target: every byte outside
// [A-Za-z0-9._~-] as %XX. Unlike base::PercentEncode dots stay, because signatures are computed
// over this form; object names have no "." and ".." components.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace boxkeeper::logs::remote {

// Keeps '/'.
std::string EncodePath(std::string_view path);
// '/' becomes %2F.
std::string EncodeValue(std::string_view value);

// "a=1&b=%2F": sorted by encoded name, then value; without the question mark. A pair without value
// is "a=".
using Query = std::vector<std::pair<std::string, std::string>>;
std::string EncodeQuery(const Query& query);

}  // namespace boxkeeper::logs::remote
