#include "logs/remote/encode.h"

#include <algorithm>

#include "base/percent.h"

namespace boxkeeper::logs::remote {
namespace {

std::string EncodeAll(std::string_view text) {
  if (text == "." || text == "..") return std::string(text);
  return base::PercentEncode(text);
}

}  // namespace

std::string EncodeValue(std::string_view value) { return EncodeAll(value); }

std::string EncodePath(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (;;) {
    const size_t slash = path.find('/');
    out += EncodeAll(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    out += '/';
    path.remove_prefix(slash + 1);
  }
}

std::string EncodeQuery(const Query& query) {
  Query encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) encoded.emplace_back(EncodeAll(name), EncodeAll(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

}  // namespace boxkeeper::logs::remote
