#include "logs/redactor.h"

#include <string.h>

#include <algorithm>

namespace boxkeeper::logs {
namespace {

std::vector<size_t> BordersOf(std::string_view text) {
  std::vector<size_t> border(text.size(), 0);
  size_t matched = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (matched > 0 && text[i] != text[matched]) matched = border[matched - 1];
    if (text[i] == text[matched]) ++matched;
    border[i] = matched;
  }
  return border;
}

}  // namespace

Redactor::Redactor(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (std::string& value : values) {
    if (value.size() >= kMinBytes) {
      context_ = std::max(context_, value.size() - 1);
      std::vector<size_t> border = BordersOf(value);
      values_.push_back({value, std::move(border)});
    }
    explicit_bzero(value.data(), value.size());
  }
}

Redactor::~Redactor() {
  for (Value& value : values_) explicit_bzero(value.text.data(), value.text.size());
}

size_t Redactor::Redact(std::string& window) const {
  // All occurrences are found in the original text before any is overwritten, so that overlapping
  // ones are all hit.
  size_t hits = 0;
  std::vector<std::pair<size_t, size_t>> spans;
  for (const Value& value : values_) {
    const std::string_view text = value.text;
    // The next occurrence begins at least so far behind one. One that begins just there is told by
    // its last bytes: a value that repeats itself costs no search for each.
    const size_t period = text.size() - value.border.back();
    const std::string_view last = text.substr(text.size() - period);
    for (size_t at = 0; at + text.size() <= window.size();) {
      const void* hit = memmem(window.data() + at, window.size() - at, text.data(), text.size());
      if (hit == nullptr) break;
      const size_t begin = static_cast<size_t>(static_cast<const char*>(hit) - window.data());
      size_t end = begin + text.size();
      for (++hits; window.compare(end, period, last) == 0; end += period) ++hits;
      spans.emplace_back(begin, end);
      at = end - text.size() + period;
    }
  }
  for (const auto& [begin, end] : spans) {
    std::fill(window.begin() + static_cast<ptrdiff_t>(begin),
              window.begin() + static_cast<ptrdiff_t>(end), '*');
  }
  return hits;
}

size_t Redactor::PendingSuffix(std::string_view window) const {
  size_t longest = 0;
  for (const Value& value : values_) {
    const size_t relevant = std::min(window.size(), value.text.size() - 1);
    size_t matched = 0;
    for (const char c : window.substr(window.size() - relevant)) {
      while (matched > 0 && c != value.text[matched]) matched = value.border[matched - 1];
      if (c == value.text[matched]) ++matched;
    }
    longest = std::max(longest, matched);
  }
  return longest;
}

}  // namespace boxkeeper::logs
