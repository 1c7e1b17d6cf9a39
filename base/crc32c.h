// CRC-32C (Castagnoli), the checksum that Google Cloud Storage has of every object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace boxkeeper::base {

// Of `crc`'s bytes with `bytes` behind them; of nothing it is 0.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);
inline uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

// Of bytes with the checksum `first` followed by `second_size` bytes with the checksum `second`.
uint32_t ConcatCrc32c(uint32_t first, uint32_t second, uint64_t second_size);

// As Google writes it: the four bytes, the highest first, in base64.
std::string Crc32cText(uint32_t crc);

}  // namespace boxkeeper::base
