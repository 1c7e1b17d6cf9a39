#include "logs/remote/encode.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs::remote {
namespace {

TEST(EncodeTest, Paths) {
  EXPECT_EQ(EncodePath("a/b c/\xc3\xa4+=&?#%.log"), "a/b%20c/%C3%A4%2B%3D%26%3F%23%25.log");
  EXPECT_EQ(EncodePath("-_.~AZaz09"), "-_.~AZaz09");
  EXPECT_EQ(EncodePath(""), "");
}

TEST(EncodeTest, QueriesAreSortedInTheirEncodedForm) {
  EXPECT_EQ(EncodeValue("a/b"), "a%2Fb");
  EXPECT_EQ(EncodeValue("."), ".");
  EXPECT_EQ(EncodeQuery({{"prefix", "a/b "}, {"list-type", "2"}, {"uploads", ""}}),
            "list-type=2&prefix=a%2Fb%20&uploads=");
  EXPECT_EQ(EncodeQuery({{"b", "2"}, {"b", "1"}, {"B", "3"}}), "B=3&b=1&b=2");
}

}  // namespace
}  // namespace boxkeeper::logs::remote
