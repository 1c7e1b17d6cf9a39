// Finds where the last N lines of a stream begin, fed with its blocks from the end backwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace boxkeeper::logs {

class TailFinder {
 public:
  // `lines` > 0.
  explicit TailFinder(uint64_t lines) : newlines_left_(lines) {}

  // `block` stands at `offset`, in front of what was fed before. The offset of the first of the
  // last lines once it is known.
  std::optional<uint64_t> Feed(uint64_t offset, std::string_view block) {
    for (size_t i = block.size(); i > 0; --i) {
      // A newline at the very end ends the last line; it does not begin another.
      const bool counts = block[i - 1] == '\n' && !at_end_;
      at_end_ = false;
      if (counts && --newlines_left_ == 0) return offset + i;
    }
    return std::nullopt;
  }

 private:
  uint64_t newlines_left_;
  bool at_end_ = true;
};

}  // namespace boxkeeper::logs
