// SHA-256 (FIPS 180-4) for boxlaunch, which links no OpenSSL. Elsewhere: base/sha256.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace boxkeeper::base {

class CoreSha256 {
 public:
  static constexpr size_t kBytes = 32;

  void Add(std::string_view bytes);
  // 32 bytes. The object is used up.
  std::string Finish();

 private:
  static constexpr size_t kBlockBytes = 64;

  void Compress(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, kBlockBytes> block_{};
  size_t filled_ = 0;
  uint64_t length_ = 0;
};

}  // namespace boxkeeper::base
