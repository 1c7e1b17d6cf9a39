#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/crypto/base64.h"

namespace boxkeeper::base {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected
constexpr size_t kSlices = 8;
static_assert(std::endian::native == std::endian::little);

using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

// kTables[n][b]: what byte b contributes when n bytes follow it.
constexpr Tables kTables = MakeTables();

uint32_t AddByte(uint32_t state, char byte) {
  return (state >> 8) ^ kTables[0][(state ^ static_cast<uint8_t>(byte)) & 0xff];
}

// a * b modulo the polynomial; bit 31 is x^0.
uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  uint32_t state = ~crc;
  while (bytes.size() >= kSlices) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), kSlices);
    word ^= state;
    state = 0;
    for (size_t i = 0; i < kSlices; ++i) {
      state ^= kTables[kSlices - 1 - i][(word >> (8 * i)) & 0xff];
    }
    bytes.remove_prefix(kSlices);
  }
  for (const char byte : bytes) state = AddByte(state, byte);
  return ~state;
}

uint32_t ConcatCrc32c(uint32_t first, uint32_t second, uint64_t second_size) {
  // x^(8 * second_size), by squaring x^8.
  uint32_t power = 0x80000000, square = 0x00800000;
  for (uint64_t left = second_size; left != 0; left >>= 1) {
    if ((left & 1) != 0) power = Multiply(power, square);
    square = Multiply(square, square);
  }
  return Multiply(power, first) ^ second;
}

std::string Crc32cText(uint32_t crc) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(crc >> shift));
  return Base64Encode(bytes);
}

}  // namespace boxkeeper::base
