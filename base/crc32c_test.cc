#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

// RFC 3720, B.4.
TEST(Crc32cTest, PublishedVectors) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising.push_back(c);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eu);
}

TEST(Crc32cTest, GoesOnAtAnyPlaceAndJoins) {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  const uint32_t whole = Crc32c(text);
  for (size_t at = 0; at <= text.size(); ++at) {
    const std::string head = text.substr(0, at), tail = text.substr(at);
    EXPECT_EQ(ExtendCrc32c(Crc32c(head), tail), whole) << at;
    EXPECT_EQ(ConcatCrc32c(Crc32c(head), Crc32c(tail), tail.size()), whole) << at;
  }
}

// As google-crc32c for Python and gsutil show it.
TEST(Crc32cTest, AsGoogleWritesIt) {
  EXPECT_EQ(Crc32cText(Crc32c("123456789")), "4waSgw==");
  EXPECT_EQ(Crc32cText(0), "AAAAAA==");
}

}  // namespace
}  // namespace boxkeeper::base
