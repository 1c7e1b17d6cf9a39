#include "base/duration_text.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

TEST(DurationTextTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*DurationFromText("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(*DurationFromText("5s"), absl::Seconds(5));
  EXPECT_EQ(*DurationFromText("2m"), absl::Minutes(2));
  EXPECT_EQ(*DurationFromText("1h"), absl::Hours(1));
  EXPECT_EQ(*DurationFromText("168h"), absl::Hours(168));
  EXPECT_EQ(*DurationFromText("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*DurationFromText("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(*DurationFromText("0"), absl::ZeroDuration());
  EXPECT_EQ(*DurationFromText("0s"), absl::ZeroDuration());
}

TEST(DurationTextTest, RefusesEverythingElse) {
  for (const char* text : {"", "5", "s", "-5s", "+5s", "5 s", " 5s", "5s ", "5x", "5d", "1s1h",
                           "1s1s", "1.s", ".5s", "1e3s", "99999999999999999999h", "1000000000h"}) {
    EXPECT_EQ(DurationFromText(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(DurationTextTest, FormatsWhatItReads) {
  for (const char* text : {"0s", "1us", "500ms", "5s", "2m", "1h", "1h30m", "25h1m1s1ms1us"}) {
    EXPECT_EQ(DurationToText(*DurationFromText(text)), text);
  }
  EXPECT_EQ(DurationToText(-absl::Seconds(90)), "-1m30s");
}

}  // namespace
}  // namespace boxkeeper::base
