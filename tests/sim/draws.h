// Random numbers by purpose: what one part of a run draws does not depend on what others drew, so
// that a step can be left out without changing the next ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/rng.h"

namespace boxkeeper::sim {

// A seed for `purpose`; equal for equal arguments, on every machine.
uint64_t Derive(uint64_t seed, std::string_view purpose, uint64_t index = 0);

class Draws {
 public:
  explicit Draws(uint64_t seed) : rng_(base::MakeSeededRng(seed)) {}

  bool Chance(double probability) { return rng_->Unit() < probability; }
  double Unit() { return rng_->Unit(); }
  // Uniform in [0, n).
  int64_t Below(int64_t n) { return static_cast<int64_t>(rng_->Below(static_cast<uint64_t>(n))); }
  // Uniform in [low, high].
  int64_t Number(int64_t low, int64_t high) { return low + Below(high - low + 1); }
  std::chrono::milliseconds Between(int64_t low_ms, int64_t high_ms) {
    return std::chrono::milliseconds(Number(low_ms, high_ms));
  }
  // Uniform over orders of magnitude: 1 ms to 10 ms is as likely as 10 s to 100 s.
  std::chrono::milliseconds Wide(int64_t low_ms, int64_t high_ms);
  base::Rng& rng() { return *rng_; }

 private:
  std::unique_ptr<base::Rng> rng_;
};

}  // namespace boxkeeper::sim
