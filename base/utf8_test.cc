#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace boxkeeper::base {
namespace {

TEST(Utf8Test, MeasuresValidSequences) {
  EXPECT_EQ(Utf8Length("a"), 1u);
  EXPECT_EQ(Utf8Length(std::string_view("\0", 1)), 1u);
  EXPECT_EQ(Utf8Length("\xC3\xA9x"), 2u);
  EXPECT_EQ(Utf8Length("\xE2\x82\xAC"), 3u);
  EXPECT_EQ(Utf8Length("\xF0\x9F\x98\x80"), 4u);
}

TEST(Utf8Test, RefusesWhatUnicodeRefuses) {
  EXPECT_EQ(Utf8Length(""), 0u);
  EXPECT_EQ(Utf8Length("\x80"), 0u);              // continuation byte alone
  EXPECT_EQ(Utf8Length("\xC0\xAF"), 0u);          // overlong '/'
  EXPECT_EQ(Utf8Length("\xE0\x80\xAF"), 0u);      // overlong
  EXPECT_EQ(Utf8Length("\xED\xA0\x80"), 0u);      // surrogate
  EXPECT_EQ(Utf8Length("\xF4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(Utf8Length("\xE2\x82"), 0u);          // cut short
  EXPECT_EQ(Utf8Length("\xFF"), 0u);
}

TEST(Utf8Test, ChecksWholeTexts) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("na\xC3\xAFve \xF0\x9F\x98\x80"));
  EXPECT_FALSE(IsUtf8("na\xEFve"));
}

}  // namespace
}  // namespace boxkeeper::base
