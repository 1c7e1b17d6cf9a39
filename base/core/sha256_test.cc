#include "base/core/sha256.h"

#include <gtest/gtest.h>

#include "base/sha256.h"

namespace boxkeeper::base {
namespace {

std::string Hash(std::string_view bytes) {
  CoreSha256 hash;
  hash.Add(bytes);
  return hash.Finish();
}

// FIPS 180-4, example of one block.
TEST(CoreSha256Test, PublishedVector) {
  EXPECT_EQ(Hash("abc"),
            std::string("\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
                        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
                        32));
}

TEST(CoreSha256Test, EveryLengthAroundTheBlocksIsAsOpenSslSays) {
  std::string bytes;
  for (int length = 0; length < 300; ++length) {
    ASSERT_EQ(Hash(bytes), Sha256(bytes)) << length;
    bytes.push_back(static_cast<char>(length * 7));
  }
}

TEST(CoreSha256Test, HowItIsCutDoesNotMatter) {
  const std::string bytes(1000, 'x');
  for (size_t step = 1; step < 200; ++step) {
    CoreSha256 hash;
    for (size_t at = 0; at < bytes.size(); at += step) hash.Add(bytes.substr(at, step));
    ASSERT_EQ(hash.Finish(), Sha256(bytes)) << step;
  }
}

}  // namespace
}  // namespace boxkeeper::base
