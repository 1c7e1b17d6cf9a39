// What a fuzz target demands beside "no crash": a broken property ends the process, so that the
// engine keeps the input.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

// The engine's entry point; each target defines it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace boxkeeper::fuzz {

// `detail` is shown with the broken property; it may hold any bytes.
inline void Require(bool holds, std::string_view property, std::string_view detail = "") {
  if (holds) return;
  fprintf(stderr, "broken property: %.*s\n%.*s\n", static_cast<int>(property.size()),
          property.data(), static_cast<int>(detail.size()), detail.data());
  abort();
}

inline std::string_view View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes an input apart, front to back; past the end everything is zero or empty.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(View(data, size)) {}

  bool empty() const { return left_.empty(); }
  uint8_t Byte() { return static_cast<uint8_t>(Number<uint8_t>()); }
  // Little-endian.
  template <typename T>
  T Number() {
    T number = 0;
    const std::string_view bytes = Take(sizeof(T));
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }
  // Up to `n` bytes.
  std::string_view Take(size_t n) {
    const std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(taken.size());
    return taken;
  }
  // A length of one byte, or of two, then the text.
  std::string Text() { return std::string(Take(Byte())); }
  std::string LongText() { return std::string(Take(Number<uint16_t>())); }
  std::string_view Rest() { return Take(left_.size()); }

 private:
  std::string_view left_;
};

}  // namespace boxkeeper::fuzz
