#include "base/core/crc32c.h"

#include <nmmintrin.h>

#include <cstring>

namespace boxkeeper::base {

uint32_t Crc32c(std::string_view bytes, uint32_t seed) {
  uint64_t crc = ~seed;
  const char* data = bytes.data();
  size_t left = bytes.size();
  for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), data += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, data, sizeof(word));
    crc = _mm_crc32_u64(crc, word);
  }
  auto crc32 = static_cast<uint32_t>(crc);
  for (; left > 0; --left, ++data) crc32 = _mm_crc32_u8(crc32, static_cast<uint8_t>(*data));
  return ~crc32;
}

}  // namespace boxkeeper::base
