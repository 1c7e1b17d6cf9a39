#include "cli/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace boxkeeper::cli {
namespace {

using ::testing::HasSubstr;

std::string WriteTemp(const std::string& name, const std::string& content) {
  std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
  std::ofstream(path) << content;
  return path;
}

std::string Target(const std::string& server) {
  ConnectionFlags flags;
  flags.server = server;
  auto connection = MakeConnection(flags);
  return connection.ok() ? connection->target : std::string(connection.status().message());
}

TEST(ConnectionTest, ReadsAddresses) {
  EXPECT_EQ(Target(""), "dns:///127.0.0.1:7433");
  EXPECT_EQ(Target("host"), "dns:///host:7433");
  EXPECT_EQ(Target("host:1"), "dns:///host:1");
  EXPECT_EQ(Target("[::1]:99"), "dns:///[::1]:99");
  EXPECT_EQ(Target("::1"), "dns:///[::1]:7433");
  EXPECT_EQ(Target("unix:/run/b.sock"), "unix:/run/b.sock");
  EXPECT_EQ(Target("unix:///run/b.sock"), "unix:/run/b.sock");
  for (const char* bad : {"http://x", "host:", "host:0", "host:99999", ":7433", "unix:", "h:x"}) {
    EXPECT_THAT(Target(bad), HasSubstr("--server")) << bad;
  }
}

TEST(ConnectionTest, TokenGoesOnlyWhereNobodyListens) {
  ConnectionFlags flags;
  flags.token_file = WriteTemp("token", "s3cret\n");
  for (const char* local : {"127.0.0.1:1", "localhost", "[::1]:5", "unix:/x", "127.1.2.3:5"}) {
    flags.server = local;
    ASSERT_TRUE(MakeConnection(flags).ok()) << local;
    EXPECT_EQ(MakeConnection(flags)->token, "s3cret");
  }
  for (const char* remote : {"example.com:1", "10.0.0.1", "127.evil.example:1"}) {
    flags.server = remote;
    EXPECT_THAT(std::string(MakeConnection(flags).status().message()), HasSubstr("plain text"));
  }
  flags.ca_file = WriteTemp("ca.pem", "pem");
  EXPECT_TRUE(MakeConnection(flags).ok());
}

TEST(ConnectionTest, ChecksFiles) {
  ConnectionFlags flags;
  flags.token_file = "/nonexistent";
  EXPECT_THAT(std::string(MakeConnection(flags).status().message()),
              HasSubstr("--token-file: cannot read '/nonexistent': No such file"));
  flags.token_file = WriteTemp("two", "a\nb\n");
  EXPECT_THAT(std::string(MakeConnection(flags).status().message()), HasSubstr("one line"));
  flags.token_file = "";
  flags.cert_file = "c";
  EXPECT_THAT(std::string(MakeConnection(flags).status().message()), HasSubstr("go together"));
}

}  // namespace
}  // namespace boxkeeper::cli
