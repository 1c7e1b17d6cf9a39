#include "base/percent.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

TEST(PercentTest, KeepsUnreservedAndEscapesTheRest) {
  EXPECT_EQ(PercentEncode("Az09._~-"), "Az09._~-");
  EXPECT_EQ(PercentEncode("a/b c%"), "a%2Fb%20c%25");
  EXPECT_EQ(PercentEncode("\xC3\xA9"), "%C3%A9");
  EXPECT_EQ(PercentEncode(std::string_view("\0", 1)), "%00");
  EXPECT_EQ(PercentEncode(""), "");
}

TEST(PercentTest, DotsAreSafeAsPathComponents) {
  EXPECT_EQ(PercentEncode("."), "%2E");
  EXPECT_EQ(PercentEncode(".."), "%2E%2E");
  EXPECT_EQ(PercentEncode("..."), "...");
}

TEST(PercentTest, DecodesWhatItEncoded) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(PercentDecode(PercentEncode(all)), all);
  EXPECT_EQ(PercentDecode("%2f%2F"), "//");
}

TEST(PercentTest, RefusesBrokenEscapes) {
  EXPECT_EQ(PercentDecode("%"), std::nullopt);
  EXPECT_EQ(PercentDecode("a%2"), std::nullopt);
  EXPECT_EQ(PercentDecode("%G0"), std::nullopt);
}

}  // namespace
}  // namespace boxkeeper::base
