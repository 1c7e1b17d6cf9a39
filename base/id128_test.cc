#include "base/id128.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace boxkeeper::base {
namespace {

TEST(Base32Test, MatchesRfc4648Vectors) {
  EXPECT_EQ(Base32(""), "");
  EXPECT_EQ(Base32("f"), "my");
  EXPECT_EQ(Base32("fo"), "mzxq");
  EXPECT_EQ(Base32("foo"), "mzxw6");
  EXPECT_EQ(Base32("foob"), "mzxw6yq");
  EXPECT_EQ(Base32("fooba"), "mzxw6ytb");
  EXPECT_EQ(Base32("foobar"), "mzxw6ytboi");
}

TEST(Base32Test, DecodesWhatItEncodes) {
  auto rng = MakeSeededRng(1);
  for (size_t size = 0; size < 64; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(rng->Next()));
    EXPECT_EQ(Base32Decode(Base32(bytes)), bytes);
  }
}

TEST(Base32Test, RefusesOtherCharactersLengthsAndTrailingBits) {
  EXPECT_FALSE(Base32Decode("MY"));
  EXPECT_FALSE(Base32Decode("m1"));
  EXPECT_FALSE(Base32Decode("my======"));
  EXPECT_FALSE(Base32Decode("a"));
  EXPECT_FALSE(Base32Decode("aaa"));
  EXPECT_FALSE(Base32Decode("mz"));  // "my" with trailing bits set
}

TEST(Id128Test, TextHas26CharactersAndParsesBack) {
  auto rng = MakeSeededRng(1);
  for (int i = 0; i < 100; ++i) {
    Id128 id = rng->NewId();
    EXPECT_EQ(id.ToString().size(), 26u);
    EXPECT_EQ(Id128::Parse(id.ToString()), id);
    EXPECT_EQ(Id128::ParseUuid(id.ToUuid()), id);
  }
}

TEST(Id128Test, ParseAcceptsOneTextPerId) {
  std::string text = Id128{}.ToString();
  EXPECT_EQ(text, std::string(26, 'a'));
  EXPECT_TRUE(Id128::Parse(text)->IsZero());
  text.back() = 'b';  // trailing bits
  EXPECT_FALSE(Id128::Parse(text));
  EXPECT_FALSE(Id128::Parse(""));
  EXPECT_FALSE(Id128::Parse(std::string(27, 'a')));
}

TEST(Id128Test, UuidInEitherCase) {
  auto lower = Id128::ParseUuid("0123abcd-4567-89ef-0123-456789abcdef");
  auto upper = Id128::ParseUuid("0123ABCD-4567-89EF-0123-456789ABCDEF");
  ASSERT_TRUE(lower);
  EXPECT_EQ(lower, upper);
  EXPECT_EQ(upper->ToUuid(), "0123abcd-4567-89ef-0123-456789abcdef");
  EXPECT_FALSE(Id128::ParseUuid("0123abcd45670-89ef-0123-456789abcdef"));
  EXPECT_FALSE(Id128::ParseUuid("{123abcd-4567-89ef-0123-456789abcdef"));
}

}  // namespace
}  // namespace boxkeeper::base
