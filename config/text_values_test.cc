#include "config/text_values.h"

#include <gtest/gtest.h>

namespace boxkeeper::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(TextValuesTest, ReadsDurations) {
  EXPECT_EQ(ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(ParseDuration("8760h"), hours(8760));
  EXPECT_EQ(ParseDuration("-5s"), seconds(-5));
  for (const char* text : {"", "-", "--5s", "5", "s", "5d", "inf"}) {
    EXPECT_FALSE(ParseDuration(text).has_value()) << text;
  }
}

TEST(TextValuesTest, ReadsSizes) {
  EXPECT_EQ(ParseSize("0B"), 0);
  EXPECT_EQ(ParseSize("1KiB"), 1024);
  EXPECT_EQ(ParseSize("1.5MiB"), 3 << 19);
  EXPECT_EQ(ParseSize("10GB"), 10'000'000'000);
  EXPECT_EQ(ParseSize("1PiB"), int64_t{1} << 50);
  for (const char* text : {"", "5", "GiB", "-1B", "1 GiB", "1gib", "1G", "1..5MiB", ".5MiB",
                           "1.MiB", "99999999999TiB", "1e3B", "0x1B"}) {
    EXPECT_FALSE(ParseSize(text).has_value()) << text;
  }
}

TEST(TextValuesTest, DurationsSurviveTheMessage) {
  for (const auto duration :
       {std::chrono::nanoseconds(0), std::chrono::nanoseconds(1),
        std::chrono::nanoseconds(seconds(-90)), std::chrono::nanoseconds(hours(8760))}) {
    EXPECT_EQ(FromProto(ToProto(duration)), duration);
  }
  google::protobuf::Duration huge;
  huge.set_seconds(INT64_MAX);
  EXPECT_GT(FromProto(huge), hours(24 * 365 * 200));
}

}  // namespace
}  // namespace boxkeeper::config
