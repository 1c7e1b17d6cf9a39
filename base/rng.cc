#include "base/rng.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace boxkeeper::base {
namespace {

// getrandom in blocks: one system call serves 32 numbers.
class SystemRng final : public Rng {
 public:
  uint64_t Next() override {
    if (next_ == buffer_.size()) Fill();
    uint64_t value = buffer_[next_];
    buffer_[next_++] = 0;  // What was handed out may become a key: leave no copy behind.
    return value;
  }

 private:
  void Fill() {
    ssize_t got = 0;
    do {
      got = getrandom(buffer_.data(), sizeof(buffer_), 0);
    } while (got < 0 && errno == EINTR);
    // Requests up to 256 bytes are never cut short (getrandom(2)).
    CHECK(got == static_cast<ssize_t>(sizeof(buffer_)), "the kernel has a random source");
    next_ = 0;
  }

  std::array<uint64_t, 32> buffer_;
  size_t next_ = buffer_.size();
};

// xoshiro256** seeded by splitmix64, both public domain by Blackman and Vigna: the same numbers
// with every compiler and standard library, so that a seed printed anywhere reproduces everywhere.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() override {
    uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

 private:
  static uint64_t Rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::array<uint64_t, 4> state_;
};

}  // namespace

Id128 Rng::NewId() {
  Id128 id;
  uint64_t parts[2] = {Next(), Next()};
  std::memcpy(id.bytes.data(), parts, sizeof(parts));
  return id;
}

std::unique_ptr<Rng> MakeSystemRng() { return std::make_unique<SystemRng>(); }

std::unique_ptr<Rng> MakeSeededRng(uint64_t seed) { return std::make_unique<SeededRng>(seed); }

}  // namespace boxkeeper::base
