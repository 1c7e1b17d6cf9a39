#include "base/crypto/base64.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

// RFC 4648, section 10.
TEST(Base64Test, VectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Base64Encode(bytes), text);
    EXPECT_EQ(Base64Decode(text), bytes);
  }
}

TEST(Base64Test, UrlAlphabetHasNoPadding) {
  const std::string bytes = "\xfb\xff\xfe!";
  EXPECT_EQ(Base64Encode(bytes), "+//+IQ==");
  EXPECT_EQ(Base64UrlEncode(bytes), "-__-IQ");
  EXPECT_EQ(Base64Decode("-__-IQ"), bytes);
  EXPECT_EQ(Base64Decode("+//+IQ==\n"), bytes);
}

TEST(Base64Test, EveryByteComesBack) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_EQ(Base64Decode(Base64Encode(bytes.substr(0, size))), bytes.substr(0, size));
    EXPECT_EQ(Base64Decode(Base64UrlEncode(bytes.substr(0, size))), bytes.substr(0, size));
  }
}

TEST(Base64Test, RefusesWhatIsNone) {
  for (const char* text : {"A", "AAAAA", "Zg=", "Zg===", "Z g=", "Zm\n9v", "=", "====", "Zm9v*"}) {
    EXPECT_EQ(Base64Decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace boxkeeper::base
