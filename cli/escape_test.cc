#include "cli/escape.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

std::string Whole(std::string_view text) {
  TerminalEscaper escaper;
  std::string out = escaper.Escape(text);
  return out + escaper.Finish();
}

TEST(EscapeTest, KeepsTextNewlineAndTab) { EXPECT_EQ(Whole("h\xC3\xA9\tx\n"), "h\xC3\xA9\tx\n"); }

TEST(EscapeTest, ShowsControlCharacters) {
  EXPECT_EQ(Whole("\x1b[31mred\x1b]0;title\x07"), "\\x1b[31mred\\x1b]0;title\\x07");
  EXPECT_EQ(Whole(std::string_view("a\0b\rc\x7f", 6)), "a\\x00b\\x0dc\\x7f");
  EXPECT_EQ(Whole("\xC2\x9B"
                  "31m"),
            "\\u009b31m");
  EXPECT_EQ(Whole("\xE2\x80\xAE"), "\\u202e");
}

TEST(EscapeTest, ShowsInvalidUtf8) {
  EXPECT_EQ(Whole("a\xFF\xC3(b"), "a\\xff\\xc3(b");
  EXPECT_EQ(Whole("\xED\xA0\x80"), "\\xed\\xa0\\x80");
}

TEST(EscapeTest, JoinsCharactersSplitBetweenChunks) {
  const std::string text = "\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xA9\xED\x9F\xBF\xF4\x8F\xBF\xBD";
  for (size_t step = 1; step <= 4; ++step) {
    TerminalEscaper escaper;
    std::string out;
    for (size_t i = 0; i < text.size(); i += step) out += escaper.Escape(text.substr(i, step));
    EXPECT_EQ(out + escaper.Finish(), text) << step;
  }
}

TEST(EscapeTest, ShowsACharacterThatNeverEnded) {
  TerminalEscaper escaper;
  EXPECT_EQ(escaper.Escape("a\xE2\x82"), "a");
  EXPECT_EQ(escaper.Finish(), "\\xe2\\x82");
}

TEST(EscapeTest, LinesHaveNoLineBreaks) { EXPECT_EQ(EscapeLine("a\nb\tc\x1b"), "a\\nb\\tc\\x1b"); }

TEST(EscapeTest, WidthCountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("h\xC3\xA9"), 2u);
  EXPECT_EQ(DisplayWidth("\xE4\xB8\xAD"), 2u);
}

}  // namespace
}  // namespace boxkeeper::cli
