// What a run says of itself: its failures, the hash of all that happened, and which rare paths it
// reached.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace boxkeeper::sim {

struct Failure {
  std::string invariant;  // "I1" to "I13", or "life" for a daemon that does not go on
  std::string what;
  int step = 0;
};

class Trace {
 public:
  // `print`: every line to stderr.
  explicit Trace(bool print) : print_(print) {}

  // Whose time the lines carry; null between two lives of the daemon.
  void SetClock(const base::Clock* clock) { clock_ = clock; }
  void SetStep(int step) { step_ = step; }

  void Say(std::string_view text);
  // A rare path was reached.
  void Sometimes(const std::string& name) { ++sometimes_[name]; }
  void Fail(std::string invariant, const std::string& what);

  bool failed() const { return !failures_.empty(); }
  const std::vector<Failure>& failures() const { return failures_; }
  const std::map<std::string, int>& sometimes() const { return sometimes_; }
  uint64_t hash() const { return hash_; }

 private:
  void Mix(std::string_view text);

  const bool print_;
  const base::Clock* clock_ = nullptr;
  int step_ = 0;
  uint64_t hash_ = 14695981039346656037ULL;
  std::vector<Failure> failures_;
  std::map<std::string, int> sometimes_;
};

}  // namespace boxkeeper::sim
