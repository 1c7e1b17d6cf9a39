#include "config/read_value.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "config/text_values.h"

namespace boxkeeper::config {
namespace {

using Kind = Value::Kind;

std::string Range(std::string_view min, std::string_view max) {
  return absl::StrCat("allowed: ", std::string(min), " to ", std::string(max));
}

}  // namespace

std::string Shown(const std::string& text) {
  constexpr size_t kShownMax = 64;
  std::string shown = "'";
  for (char c : text.substr(0, kShownMax)) {
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  while (!base::IsUtf8(shown)) shown.pop_back();  // a character cut at the end
  return shown + (text.size() > kShownMax ? "...'" : "'");
}

std::string ListOf(const std::vector<std::string>& words, std::string_view last) {
  std::string list;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? absl::StrCat(" ", std::string(last), " ") : ", ";
    list += words[i];
  }
  return list;
}

void ValueReader::Add(const std::string& path, int line, std::string message) {
  if (problems_->size() >= kProblemsMax) return;
  problems_->push_back({.key = path, .message = std::move(message), .line = line});
}

void ValueReader::WrongType(const Value& value, const std::string& path, const std::string& what) {
  Add(path, value.line, "expected " + what + ", found " + Describe(value));
}

std::optional<std::string> ValueReader::Text(const Value& value, const std::string& path,
                                             size_t length_max) {
  if (value.kind == Kind::kNumber || value.kind == Kind::kBool) {
    Add(path, value.line,
        "expected text, found " + Describe(value) +
            (value.text.empty() ? "; put it in quotes"
                                : "; put it in quotes: \"" + value.text + "\""));
    return std::nullopt;
  }
  if (value.kind != Kind::kText) {
    WrongType(value, path, "text");
    return std::nullopt;
  }
  if (value.text.find('\0') != std::string::npos) {
    Add(path, value.line, "contains a NUL character; allowed: text without NUL");
    return std::nullopt;
  }
  if (!base::IsUtf8(value.text)) {
    Add(path, value.line, "is not valid UTF-8; allowed: UTF-8 text");
    return std::nullopt;
  }
  if (value.text.size() > length_max) {
    Add(path, value.line,
        absl::StrCat("has ", value.text.size(), " bytes; at most ", length_max, " are allowed"));
    return std::nullopt;
  }
  return value.text;
}

std::optional<std::string> ValueReader::Choice(const Value& value, const std::string& path,
                                               const std::vector<std::string>& choices) {
  const std::string allowed = "allowed: " + ListOf(choices);
  if (value.kind != Kind::kText) {
    WrongType(value, path, "text; " + allowed);
    return std::nullopt;
  }
  if (std::find(choices.begin(), choices.end(), value.text) == choices.end()) {
    Add(path, value.line, Shown(value.text) + " is none of its values; " + allowed);
    return std::nullopt;
  }
  return value.text;
}

std::optional<bool> ValueReader::Bool(const Value& value, const std::string& path) {
  if (value.kind != Kind::kBool) {
    WrongType(value, path, "true or false");
    return std::nullopt;
  }
  return value.boolean;
}

std::optional<int64_t> ValueReader::Whole(const Value& value, const std::string& path, int64_t min,
                                          int64_t max) {
  const std::string allowed = absl::StrCat("allowed: a whole number, ", min, " to ", max);
  if (value.kind != Kind::kNumber) {
    WrongType(value, path, "a whole number; " + allowed);
    return std::nullopt;
  }
  const bool whole = std::floor(value.number) == value.number;  // false for NaN
  if (!whole || value.number < static_cast<double>(min) ||
      value.number > static_cast<double>(max)) {
    const std::string written = value.text.empty() ? absl::StrCat(value.number) : value.text;
    Add(path, value.line,
        written + (whole ? " is out of range; " : " is not a whole number; ") + allowed);
    return std::nullopt;
  }
  return static_cast<int64_t>(value.number);
}

std::optional<double> ValueReader::NumberAbove(const Value& value, const std::string& path,
                                               double above, double max) {
  const std::string allowed = absl::StrCat("allowed: a number above ", above, ", up to ", max);
  if (value.kind != Kind::kNumber) {
    WrongType(value, path, "a number; " + allowed);
    return std::nullopt;
  }
  if (!(value.number > above && value.number <= max)) {
    Add(path, value.line, absl::StrCat(value.number, " is out of range; ", allowed));
    return std::nullopt;
  }
  return value.number;
}

std::optional<std::chrono::nanoseconds> ValueReader::Duration(const Value& value,
                                                              const std::string& path,
                                                              std::string_view min,
                                                              std::string_view max) {
  const std::string allowed =
      absl::StrCat(kDurationForm, ", ", std::string(min), " to ", std::string(max));
  if (value.kind != Kind::kText) {
    WrongType(value, path,
              allowed + (value.kind == Kind::kNumber ? " (a number needs its unit)" : ""));
    return std::nullopt;
  }
  const auto duration = ParseDuration(value.text);
  if (!duration.has_value()) {
    Add(path, value.line, Shown(value.text) + " is not a duration; allowed: " + allowed);
    return std::nullopt;
  }
  if (*duration < *ParseDuration(min) || *duration > *ParseDuration(max)) {
    Add(path, value.line,
        Shown(value.text) + (duration->count() < 0 ? " is negative; " : " is out of range; ") +
            Range(min, max));
    return std::nullopt;
  }
  return duration;
}

std::optional<int64_t> ValueReader::Size(const Value& value, const std::string& path,
                                         std::string_view min, std::string_view max) {
  const std::string allowed =
      absl::StrCat(kSizeForm, ", ", std::string(min), " to ", std::string(max));
  if (value.kind != Kind::kText) {
    WrongType(value, path,
              allowed + (value.kind == Kind::kNumber ? " (a number needs its unit)" : ""));
    return std::nullopt;
  }
  const auto bytes = ParseSize(value.text);
  if (!bytes.has_value()) {
    Add(path, value.line, Shown(value.text) + " is not a size; allowed: " + allowed);
    return std::nullopt;
  }
  if (*bytes < *ParseSize(min) || *bytes > *ParseSize(max)) {
    Add(path, value.line, Shown(value.text) + " is out of range; " + Range(min, max));
    return std::nullopt;
  }
  return bytes;
}

std::optional<std::vector<std::string>> ValueReader::TextList(const Value& value,
                                                              const std::string& path, bool or_one,
                                                              size_t count_max) {
  const size_t before = problems_->size();
  std::vector<std::string> texts;
  if (or_one && value.kind == Kind::kText) {
    if (auto text = Text(value, path); text.has_value()) texts.push_back(*text);
  } else if (value.kind != Kind::kList) {
    WrongType(value, path, or_one ? "text or a list of texts" : "a list of texts");
    return std::nullopt;
  }
  if (value.items.size() > count_max) {
    Add(path, value.line,
        absl::StrCat("has ", value.items.size(), " items; at most ", count_max, " are allowed"));
    return std::nullopt;
  }
  for (size_t i = 0; i < value.items.size(); ++i) {
    const std::string item_path = absl::StrCat(path, "[", i, "]");
    auto text = Text(value.items[i], item_path);
    if (!text.has_value()) continue;
    if (text->empty()) {
      Add(item_path, value.items[i].line, "is empty; allowed: text of at least one character");
    } else if (std::find(texts.begin(), texts.end(), *text) != texts.end()) {
      Add(item_path, value.items[i].line, Shown(*text) + " stands twice; once is allowed");
    } else {
      texts.push_back(*text);
    }
  }
  if (problems_->size() > before) return std::nullopt;
  return texts;
}

bool ValueReader::IsMap(const Value& value, const std::string& path) {
  if (value.kind == Kind::kMap) return true;
  WrongType(value, path, "a map (key: value)");
  return false;
}

void ValueReader::UnknownKey(const Value::Entry& entry, const std::string& path,
                             const std::vector<std::string>& allowed) {
  if (problems_->size() >= kProblemsMax) return;
  const std::string hint = DidYouMean(entry.key, allowed);
  const bool plain = Shown(entry.key) == "'" + entry.key + "'";
  Add(Join(path, plain ? entry.key : Shown(entry.key)), entry.line,
      "unknown key" + hint + (hint.empty() ? "; " : " ") + "allowed: " + ListOf(allowed, "and"));
}

}  // namespace boxkeeper::config
