#include "base/secret_string.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <type_traits>

namespace boxkeeper::base {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!Printable<SecretString>);
static_assert(!std::is_convertible_v<SecretString, std::string>);
static_assert(!std::is_convertible_v<SecretString, std::string_view>);
static_assert(!std::is_copy_constructible_v<SecretString>);

TEST(SecretStringTest, MovesLeaveNothingBehind) {
  SecretString a("value");
  SecretString b(std::move(a));
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(b.view(), "value");
  a = std::move(b);
  EXPECT_EQ(a.view(), "value");
  a.Wipe();
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(SecretString("").view(), "");
}

TEST(SecretStringTest, WipeStringClearsAlsoTheCapacity) {
  std::string text(100, 'x');
  text.resize(3);
  const char* bytes = text.data();
  WipeString(text);
  EXPECT_TRUE(text.empty());
  text.resize(100);  // within the capacity: the same bytes
  ASSERT_EQ(text.data(), bytes);
  EXPECT_EQ(text, std::string(100, '\0'));
}

}  // namespace
}  // namespace boxkeeper::base
