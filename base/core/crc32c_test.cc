#include "base/core/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace boxkeeper::base {
namespace {

TEST(Crc32cTest, MatchesThePublishedVectors) {
  // RFC 3720, B.4.
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

TEST(Crc32cTest, ContinuesFromASeed) {
  EXPECT_EQ(Crc32c("56789", Crc32c("1234")), Crc32c("123456789"));
}

}  // namespace
}  // namespace boxkeeper::base
