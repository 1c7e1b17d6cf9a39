#include "daemon/service/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const TokenSet> Tokens(std::string_view text) {
  auto tokens = TokenSet::Parse(text);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return std::make_shared<const TokenSet>(*std::move(tokens));
}

TEST(TokenSetTest, TakesNamedAndBareTokensAndSkipsComments) {
  const auto tokens = Tokens("# people\n\n  alice:s3cret-a \nbare-token\r\nbob : with:colon");
  EXPECT_EQ(tokens->size(), 3u);
  EXPECT_EQ(tokens->Find("s3cret-a"), "alice");
  EXPECT_EQ(tokens->Find("bare-token"), "line 4");
  EXPECT_EQ(tokens->Find("with:colon"), "bob");
  EXPECT_EQ(tokens->Find("alice:s3cret-a"), std::nullopt);
  EXPECT_EQ(tokens->Find(""), std::nullopt);
  EXPECT_EQ(tokens->Find("s3cret-"), std::nullopt);
}

TEST(TokenSetTest, NamesTheBadLineAndNeverTheToken) {
  const auto spaces = TokenSet::Parse("good\nalice:two words\n");
  EXPECT_THAT(std::string(spaces.status().message()), HasSubstr("line 2"));
  EXPECT_THAT(std::string(spaces.status().message()), Not(HasSubstr("words")));
  EXPECT_FALSE(TokenSet::Parse("alice:\n").ok());
  EXPECT_FALSE(TokenSet::Parse("# nothing\n\n").ok());
}

TEST(AuthenticatorTest, AsksForATokenOnlyWhereThereAreSome) {
  const Authenticator open(nullptr);
  EXPECT_TRUE(open.Check("ipv4:127.0.0.1:5", std::nullopt).ok());

  const Authenticator closed(Tokens("alice:s3cret"));
  EXPECT_TRUE(absl::IsUnauthenticated(closed.Check("ipv4:127.0.0.1:5", std::nullopt).status()));
  EXPECT_TRUE(absl::IsUnauthenticated(closed.Check("ipv4:127.0.0.1:5", "Bearer wrong").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(closed.Check("ipv4:127.0.0.1:5", "Basic s3cret").status()));
  EXPECT_EQ(*closed.Check("ipv4:127.0.0.1:5", "Bearer s3cret"), "alice");
  EXPECT_EQ(*closed.Check("ipv6:[::1]:5", "bearer  s3cret "), "alice");
}

TEST(AuthenticatorTest, TheUnixSocketIsTheFileSystemsBusiness) {
  const Authenticator closed(Tokens("s3cret"));
  EXPECT_TRUE(closed.Check("unix:", std::nullopt).ok());
  EXPECT_TRUE(closed.Check("unix:/run/api.sock", std::nullopt).ok());
}

TEST(AuthenticatorTest, ARevokedTokenIsRefusedFromThenOn) {
  Authenticator authenticator(Tokens("old-token\n"));
  EXPECT_TRUE(authenticator.Check("ipv4:1.2.3.4:5", "Bearer old-token").ok());
  authenticator.Replace(Tokens("new-token\n"));
  EXPECT_FALSE(authenticator.Check("ipv4:1.2.3.4:5", "Bearer old-token").ok());
  EXPECT_TRUE(authenticator.Check("ipv4:1.2.3.4:5", "Bearer new-token").ok());
}

}  // namespace
}  // namespace boxkeeper::daemon
