#include "providers/local/handle.h"

namespace boxkeeper::providers::local {
namespace {

constexpr std::string_view kPrefix = "local1:";

}  // namespace

std::string LocalHandle::ToString() const { return std::string(kPrefix) + boot_id + ":" + name; }

std::optional<LocalHandle> LocalHandle::Parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size())
    return std::nullopt;
  return LocalHandle{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

}  // namespace boxkeeper::providers::local
