#include "logs/layout_plain.h"

#include "absl/strings/str_cat.h"
#include "logs/stored_log.h"

namespace boxkeeper::logs {

std::string PlainMarker(const Hole& gap) {
  if (gap.empty()) return {};
  return absl::StrCat("\n", DropText(gap.to - gap.from), "\n");
}

uint64_t PlainPlace(const Hole& gap, uint64_t offset) {
  if (gap.empty() || offset <= gap.from) return offset;
  if (offset < gap.to) return gap.from;
  return gap.from + PlainMarker(gap).size() + (offset - gap.to);
}

}  // namespace boxkeeper::logs
