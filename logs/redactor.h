// Overwrites a task's own secret values in its output by as many '*', so that offsets never move.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace boxkeeper::logs {

// Immutable; any thread. Values below kMinBytes are left alone (they would hit ordinary text).
// Holds the values in memory and wipes them when destroyed. Works on windows of a stream: a caller
// that wants [a, b) redacted passes [a - context(), b + context()) as far as that exists, so the
// result does not depend on where the borders lie.
class Redactor {
 public:
  static constexpr size_t kMinBytes = 6;

  explicit Redactor(std::vector<std::string> values);
  ~Redactor();
  Redactor(const Redactor&) = delete;
  Redactor& operator=(const Redactor&) = delete;

  bool empty() const { return values_.empty(); }
  // Bytes before and after a window that decide about its own: the longest value less one.
  size_t context() const { return context_; }

  // Overwrites every occurrence, overlapping ones too. Returns how many there were.
  size_t Redact(std::string& window) const;

  // How many bytes at the end of `window` may be the beginning of a value whose rest has not
  // arrived: a reader at the growing end of a stream holds them back until more comes or the stream
  // ends.
  size_t PendingSuffix(std::string_view window) const;

 private:
  struct Value {
    std::string text;
    // Knuth-Morris-Pratt: the longest proper prefix that is a suffix of text[0..i].
    std::vector<size_t> border;
  };
  std::vector<Value> values_;
  size_t context_ = 0;
};

}  // namespace boxkeeper::logs
