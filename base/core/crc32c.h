// CRC32C (Castagnoli), the checksum of every record we write.
#pragma once

#include <cstdint>
#include <string_view>

namespace boxkeeper::base {

// The CRC32C of `bytes`, or of what `seed` is the CRC of, followed by `bytes`.
// Uses the SSE4.2 instruction, which the build demands.
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace boxkeeper::base
