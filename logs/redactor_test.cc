#include "logs/redactor.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs {
namespace {

std::string Redacted(const Redactor& redactor, std::string text) {
  redactor.Redact(text);
  return text;
}

TEST(RedactorTest, OverwritesByAsManyStars) {
  Redactor redactor({"hunter22"});
  std::string text = "a hunter22 b hunter22";
  EXPECT_EQ(redactor.Redact(text), 2u);
  EXPECT_EQ(text, "a ******** b ********");
}

TEST(RedactorTest, LeavesShortValuesAlone) {
  Redactor redactor({"12345", "", "abc"});
  EXPECT_TRUE(redactor.empty());
  EXPECT_EQ(Redacted(redactor, "12345 abc"), "12345 abc");
  EXPECT_EQ(redactor.context(), 0u);
}

TEST(RedactorTest, HitsOverlappingOccurrencesOfOneAndOfSeveralValues) {
  EXPECT_EQ(Redacted(Redactor({"abcabc"}), "abcabcabc"), "*********");
  EXPECT_EQ(Redacted(Redactor({"abcdef", "defghi"}), "xabcdefghix"), "x*********x");
  EXPECT_EQ(Redacted(Redactor({"secret", "secretsecret"}), "secretsecret"), "************");
}

TEST(RedactorTest, AValueThatRepeatsItselfCostsNoMoreThanAnother) {
  Redactor redactor({std::string(100'000, 'a'), std::string(50'000, 'b') + "c"});
  std::string text = std::string(1'000'000, 'a') + std::string(100'000, 'b');
  EXPECT_EQ(redactor.Redact(text), 900'001u);
  EXPECT_EQ(text, std::string(1'000'000, '*') + std::string(100'000, 'b'));
}

TEST(RedactorTest, ValuesMayHoldAnyBytes) {
  const std::string value("a\0b\nc\xff", 6);
  EXPECT_EQ(Redacted(Redactor({value}), "<" + value + ">"), "<******>");
}

TEST(RedactorTest, HoldsBackWhatMayBeginAValue) {
  Redactor redactor({"hunter22", "2hunger"});
  EXPECT_EQ(redactor.PendingSuffix("say hunt"), 4u);
  EXPECT_EQ(redactor.PendingSuffix("say hunter2"), 7u);
  EXPECT_EQ(redactor.PendingSuffix("say hunter22"),
            1u);  // complete; its last byte may begin "2hunger"
  EXPECT_EQ(redactor.PendingSuffix("nothing"), 0u);
  EXPECT_EQ(redactor.PendingSuffix(""), 0u);
}

TEST(RedactorTest, AWindowWithContextGivesTheSameBytesAsTheWhole) {
  Redactor redactor({"abcabcabd", "cabdab"});
  const std::string text = "xxabcabcabcabdabcabdabxxabcabxabcabcabdyy";
  const std::string whole = Redacted(redactor, text);
  for (size_t from = 0; from < text.size(); ++from) {
    for (size_t to = from; to <= text.size(); ++to) {
      const size_t begin = from > redactor.context() ? from - redactor.context() : 0;
      const size_t end = std::min(text.size(), to + redactor.context());
      const std::string window = Redacted(redactor, text.substr(begin, end - begin));
      ASSERT_EQ(window.substr(from - begin, to - from), whole.substr(from, to - from))
          << from << " " << to;
    }
  }
}

}  // namespace
}  // namespace boxkeeper::logs
