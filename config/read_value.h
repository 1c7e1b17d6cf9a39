// Typed, range-checked reads of one Value; each says what is wrong and what is allowed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/value.h"

namespace boxkeeper::config {

// Beyond so many, further problems are dropped: nobody reads them, and hostile input makes
// millions.
inline constexpr size_t kProblemsMax = 1000;

// Every method returns nullopt after adding a problem at `path` with the value's line.
class ValueReader {
 public:
  explicit ValueReader(std::vector<Problem>* problems) : problems_(problems) {}

  // UTF-8 without NUL, at most `length_max` bytes. A number or truth value gets the hint to quote
  // it.
  std::optional<std::string> Text(const Value& value, const std::string& path,
                                  size_t length_max = 4096);
  std::optional<std::string> Choice(const Value& value, const std::string& path,
                                    const std::vector<std::string>& choices);
  std::optional<bool> Bool(const Value& value, const std::string& path);
  std::optional<int64_t> Whole(const Value& value, const std::string& path, int64_t min,
                               int64_t max);
  // `above` < number <= `max`.
  std::optional<double> NumberAbove(const Value& value, const std::string& path, double above,
                                    double max);
  // `min` and `max` as in a file, e.g. "10ms".
  std::optional<std::chrono::nanoseconds> Duration(const Value& value, const std::string& path,
                                                   std::string_view min, std::string_view max);
  std::optional<int64_t> Size(const Value& value, const std::string& path, std::string_view min,
                              std::string_view max);
  // A list of texts, none of them empty or twice; with `or_one` also one text alone.
  std::optional<std::vector<std::string>> TextList(const Value& value, const std::string& path,
                                                   bool or_one, size_t count_max = 1000);
  // False (and a problem) if it is something else.
  bool IsMap(const Value& value, const std::string& path);
  // "unknown key ... allowed: ..." at Join(path, entry.key).
  void UnknownKey(const Value::Entry& entry, const std::string& path,
                  const std::vector<std::string>& allowed);

  void Add(const std::string& path, int line, std::string message);

 private:
  // "expected <what>, found <description>".
  void WrongType(const Value& value, const std::string& path, const std::string& what);

  std::vector<Problem>* problems_;
};

// `text` in quotes as a message may show it: control characters as '?', cut at 64 bytes.
std::string Shown(const std::string& text);

// "a, b and c" of the list, for messages.
std::string ListOf(const std::vector<std::string>& words, std::string_view last = "or");

}  // namespace boxkeeper::config
