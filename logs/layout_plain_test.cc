#include "logs/layout_plain.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs {
namespace {

TEST(LayoutPlainTest, WithoutAGapEveryByteStandsAtItsOffset) {
  EXPECT_EQ(PlainMarker({}), "");
  EXPECT_EQ(PlainPlace({}, 12345), 12345u);
}

TEST(LayoutPlainTest, AGapIsReplacedByItsMarker) {
  const Hole gap{100, 1'000'100};
  const std::string marker = "\n[boxkeeper: dropped 1000000 bytes]\n";
  EXPECT_EQ(PlainMarker(gap), marker);
  EXPECT_EQ(PlainPlace(gap, 99), 99u);
  EXPECT_EQ(PlainPlace(gap, 100), 100u);
  EXPECT_EQ(PlainPlace(gap, 500), 100u);
  EXPECT_EQ(PlainPlace(gap, 1'000'100), 100 + marker.size());
  EXPECT_EQ(PlainPlace(gap, 1'000'101), 101 + marker.size());
}

}  // namespace
}  // namespace boxkeeper::logs
