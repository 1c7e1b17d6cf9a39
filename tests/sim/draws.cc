#include "tests/sim/draws.h"

#include <algorithm>
#include <cmath>

namespace boxkeeper::sim {

uint64_t Derive(uint64_t seed, std::string_view purpose, uint64_t index) {
  uint64_t hash = 14695981039346656037ULL;
  auto mix = [&hash](uint64_t byte) { hash = (hash ^ byte) * 1099511628211ULL; };
  for (const char c : purpose) mix(static_cast<unsigned char>(c));
  for (int shift = 0; shift < 64; shift += 8) mix(seed >> shift & 0xff);
  for (int shift = 0; shift < 64; shift += 8) mix(index >> shift & 0xff);
  return hash;
}

std::chrono::milliseconds Draws::Wide(int64_t low_ms, int64_t high_ms) {
  const double low = std::log(static_cast<double>(std::max<int64_t>(1, low_ms)));
  const double high = std::log(static_cast<double>(std::max<int64_t>(1, high_ms)));
  return std::chrono::milliseconds(std::llround(std::exp(low + Unit() * (high - low))));
}

}  // namespace boxkeeper::sim
