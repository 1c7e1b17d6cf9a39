// Randomness behind a seam: ids and jitter come from one seed in the simulator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/id128.h"

namespace boxkeeper::base {

// Used on one thread.
class Rng {
 public:
  virtual ~Rng() = default;
  virtual uint64_t Next() = 0;

  // Uniform in [0, bound); 0 for bound 0. The bias of the modulo is below 2^-32 for the bounds in
  // use.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  // Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  Id128 NewId();
};

// From getrandom(2): unpredictable. For everything outside tests.
std::unique_ptr<Rng> MakeSystemRng();
// Reproducible from `seed`.
std::unique_ptr<Rng> MakeSeededRng(uint64_t seed);

}  // namespace boxkeeper::base
