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
  std::vector<std::pair<size_t, size_t>> hits;
  for (const Value& value : values_) {
    const char* at = window.data();
    size_t left = window.size();
    while (left >= value.text.size()) {
      const void* hit = memmem(at, left, value.text.data(), value.text.size());
      if (hit == nullptr) break;
      const size_t offset = static_cast<const char*>(hit) - window.data();
      hits.emplace_back(offset, value.text.size());
      at = window.data() + offset + 1;
      left = window.size() - offset - 1;
    }
  }
  for (const auto& [offset, size] : hits) std::fill_n(window.begin() + offset, size, '*');
  return hits.size();
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
