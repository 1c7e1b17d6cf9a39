#include "base/identity/key_file.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "base/testing/faulty_file_system.h"

namespace boxkeeper::base {
namespace {

const std::string kHex(64, 'a');

TEST(KeyFileTest, ReadsNamesKeysAndComments) {
  auto keys = ParseKeys("# comment\n\n  new  " + kHex + "  \r\nold\t" + std::string(64, 'B'), "f");
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].kid, "new");
  EXPECT_EQ(HexEncode((*keys)[0].bytes.view()), kHex);
  EXPECT_EQ(HexEncode((*keys)[1].bytes.view()), std::string(64, 'b'));
}

TEST(KeyFileTest, NamesTheLineButNotItsContent) {
  for (const std::string& bad :
       {"kid " + kHex + "aa", "kid " + kHex.substr(2), std::string("kid"), "kid " + kHex + " more",
        "bad/kid " + kHex, "-kid " + kHex, std::string(33, 'k') + " " + kHex}) {
    auto keys = ParseKeys("# first\n" + bad + "\n", "/etc/key");
    EXPECT_EQ(keys.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_TRUE(keys.status().message().find("/etc/key:2: ") == 0) << keys.status();
    EXPECT_EQ(keys.status().message().find("aaaa"), absl::string_view::npos) << keys.status();
  }
  EXPECT_FALSE(ParseKeys("a " + kHex + "\na " + kHex, "f").ok());
  EXPECT_FALSE(ParseKeys("# only comments\n", "f").ok());
}

TEST(KeyFileTest, GeneratesAKeyThatReadsBack) {
  FaultyFileSystem fs;
  auto rng = MakeSeededRng(1);
  auto made = GenerateKeyFile(fs, *rng, "/key");
  ASSERT_TRUE(made.ok()) << made.status();
  fs.Crash(*rng);  // synced
  auto read = ReadKeys(fs, "/key");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)[0].kid, (*made)[0].kid);
  EXPECT_EQ((*read)[0].bytes.view(), (*made)[0].bytes.view());
}

}  // namespace
}  // namespace boxkeeper::base
