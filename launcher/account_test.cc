#include "launcher/account.h"

#include <gtest/gtest.h>

namespace boxkeeper::launcher {
namespace {

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/bash\n"
    "# a comment\n"
    "ada:x:1000:1001:Ada,,,:/home/ada:/bin/sh\n";
constexpr char kGroup[] = "root:x:0:\nada:x:1001:\ndocker:x:999:bob,ada\nempty:x:50:\n";

Account Find(const std::string& user) {
  Account account;
  std::string error;
  EXPECT_TRUE(FindAccountIn(kPasswd, kGroup, user, 0, 0, &account, &error)) << error;
  return account;
}

TEST(AccountTest, FindsByName) {
  const Account ada = Find("ada");
  EXPECT_EQ(ada.uid, 1000u);
  EXPECT_EQ(ada.gid, 1001u);
  EXPECT_EQ(ada.home, "/home/ada");
  EXPECT_EQ(ada.groups, std::vector<gid_t>{999});
}

TEST(AccountTest, FindsByNumber) {
  EXPECT_EQ(Find("1000").name, "ada");
  EXPECT_EQ(Find("1000:50").gid, 50u);
  EXPECT_EQ(Find("4242").name, "4242");
  EXPECT_EQ(Find("4242").gid, 4242u);
  EXPECT_EQ(Find("4242").home, "");
}

TEST(AccountTest, EmptyIsTheCaller) { EXPECT_EQ(Find("").name, "root"); }

TEST(AccountTest, RefusesWhatIsNoAccount) {
  for (const char* user : {"nobody-here", "-1", "1000:", "4294967295", "12x", ":"}) {
    Account account;
    std::string error;
    EXPECT_FALSE(FindAccountIn(kPasswd, kGroup, user, 0, 0, &account, &error)) << user;
  }
}

}  // namespace
}  // namespace boxkeeper::launcher
