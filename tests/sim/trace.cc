#include "tests/sim/trace.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace boxkeeper::sim {
namespace {

// One mistake may break an invariant at every step from there on.
constexpr size_t kFailuresMax = 5;

}  // namespace

void Trace::Say(std::string_view text) {
  const int64_t now = clock_ == nullptr ? 0 : clock_->Boot().time_since_epoch().count();
  const std::string line = absl::StrCat(now, " ", std::string(text));
  Mix(line);
  if (print_) std::cerr << "[" << step_ << "] " << line << "\n";
}

void Trace::Fail(std::string invariant, const std::string& what) {
  Say(absl::StrCat(invariant, ": ", what));
  if (failures_.size() < kFailuresMax) failures_.push_back({std::move(invariant), what, step_});
}

void Trace::Mix(std::string_view text) {
  for (const unsigned char c : text) hash_ = (hash_ ^ c) * 1099511628211ULL;
}

}  // namespace boxkeeper::sim
