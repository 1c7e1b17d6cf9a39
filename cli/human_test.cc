#include "cli/human.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

TEST(HumanTest, MomentsAreAbsoluteOrFromNow) {
  absl::Time now = absl::FromUnixSeconds(1'767'312'000);  // 2026-01-02T00:00:00Z
  EXPECT_EQ(*ParseMoment("10m", now), "2026-01-02T00:10:00.000Z");
  EXPECT_EQ(*ParseMoment("2026-01-02T03:04:05+01:00", now), "2026-01-02T02:04:05.000Z");
  EXPECT_FALSE(ParseMoment("tomorrow", now).ok());
}

TEST(HumanTest, ReadsWell) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(350)), "350ms");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(1250)), "1.2s");
  EXPECT_EQ(HumanDuration(absl::Seconds(200)), "3m20s");
  EXPECT_EQ(HumanDuration(absl::Hours(1)), "1h");
  EXPECT_EQ(HumanDuration(absl::Hours(99)), "4d3h");
  EXPECT_EQ(HumanAge(absl::Seconds(90)), "90s");
  EXPECT_EQ(HumanAge(absl::Minutes(90)), "90m");
  EXPECT_EQ(HumanAge(absl::Hours(72)), "3d");
  EXPECT_EQ(HumanAge(-absl::Seconds(5)), "now");
  EXPECT_EQ(HumanBytes(512), "512 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(20 << 20), "20 MiB");
  EXPECT_EQ(HumanTime(absl::FromUnixSeconds(0), absl::UTCTimeZone()), "1970-01-01 00:00:00 UTC");
}

}  // namespace
}  // namespace boxkeeper::cli
