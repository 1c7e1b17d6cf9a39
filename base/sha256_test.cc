#include "base/sha256.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/hex.h"

namespace boxkeeper::base {
namespace {

TEST(Sha256Test, MatchesFips180Vectors) {
  EXPECT_EQ(HexEncode(Sha256("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexEncode(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, AStreamGivesTheSameAndStartsAnew) {
  Sha256Stream stream;
  stream.Add("a");
  stream.Add("");
  stream.Add("bc");
  EXPECT_EQ(stream.Finish(), Sha256("abc"));
  EXPECT_EQ(stream.Finish(), Sha256(""));
}

TEST(HmacSha256Test, MatchesRfc4231Vectors) {
  HmacSha256 one(std::string(20, '\x0b'));
  EXPECT_EQ(HexEncode(one.Mac("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  HmacSha256 two("Jefe");
  EXPECT_EQ(HexEncode(two.Mac("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  HmacSha256 six(std::string(131, '\xaa'));
  EXPECT_EQ(HexEncode(six.Mac("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256Test, OneObjectServesManyThreads) {
  const HmacSha256 hmac("key");
  const std::string expected = hmac.Mac("message");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) EXPECT_EQ(hmac.Mac("message"), expected);
    });
  }
}

TEST(HexTest, RoundTripAndRefusals) {
  EXPECT_EQ(HexEncode(std::string("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_EQ(HexDecode("00FF1a"), std::string("\x00\xff\x1a", 3));
  EXPECT_FALSE(HexDecode("0"));
  EXPECT_FALSE(HexDecode("0g"));
}

TEST(ConstantTimeTest, ComparesContent) {
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
  EXPECT_TRUE(EqualInConstantTime("", ""));
}

}  // namespace
}  // namespace boxkeeper::base
