// Little-endian integers in byte strings: the format of every record and frame.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace boxkeeper::base {

static_assert(std::endian::native == std::endian::little);

// Appends `value` to `out`, little-endian.
template <typename T>
void AppendLittle(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The little-endian integer at `offset`. The caller has checked that it lies within `bytes`.
template <typename T>
T LittleAt(std::string_view bytes, size_t offset) {
  static_assert(std::is_integral_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Overwrites `text` in a way that the optimiser keeps, then empties it. For secrets.
inline void WipeString(std::string& text) {
  explicit_bzero(text.data(), text.capacity());
  text.clear();
}

}  // namespace boxkeeper::base
