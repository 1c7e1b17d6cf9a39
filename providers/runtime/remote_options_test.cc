#include "providers/runtime/remote_options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace boxkeeper::providers {
namespace {

google::protobuf::Struct Section(std::map<std::string, std::string> texts) {
  google::protobuf::Struct section;
  for (const auto& [key, value] : texts) {
    (*section.mutable_fields())[key].set_string_value(value);
  }
  return section;
}

TEST(RemoteOptionsTest, ReadsItsKeys) {
  auto section = Section({{"base_url", "https://api.example.com/v2"},
                          {"ca_file", "/etc/ca.pem"},
                          {"proxy", "http://proxy:3128"}});
  (*section.mutable_fields())["allow_link_local"].set_bool_value(true);
  std::vector<FieldViolation> violations;
  const RemoteOptions options = ReadRemoteOptions(section, "", violations);
  EXPECT_TRUE(violations.empty());
  const auto client = MakeClientOptions(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(client->base.origin.host, "api.example.com");
  EXPECT_EQ(client->base.path, "/v2");
  EXPECT_EQ(client->ca_file, "/etc/ca.pem");
  EXPECT_EQ(client->proxy->origin.host, "proxy");
  EXPECT_TRUE(client->addresses.allow_link_local);
  EXPECT_EQ(client->headers.Find("authorization"), nullptr);
}

TEST(RemoteOptionsTest, SaysEveryMistake) {
  std::vector<FieldViolation> violations;
  ReadRemoteOptions(Section({{"api_key_file", "relative"},
                             {"api_key_env", "KEY"},
                             {"ca_file", "x"},
                             {"proxy", "https://proxy"}}),
                    "", violations);
  std::set<std::string> fields;
  for (const FieldViolation& violation : violations) fields.insert(violation.field);
  EXPECT_EQ(fields,
            (std::set<std::string>{"base_url", "api_key_file", "api_key_env", "ca_file", "proxy"}));
}

TEST(RemoteOptionsTest, KeyComesFromAFileOrAVariableAndIsNeverSaid) {
  std::vector<FieldViolation> violations;
  const std::string path = testing::TempDir() + "/api_key";
  std::ofstream(path) << "s3cret\nsecond line\n";
  auto client = MakeClientOptions(
      ReadRemoteOptions(Section({{"api_key_file", path}}), "http://h", violations));
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(*client->headers.Find("Authorization"), "Bearer s3cret");
  std::ofstream(path) << "s3\x01cret\n";
  client = MakeClientOptions(
      ReadRemoteOptions(Section({{"api_key_file", path}}), "http://h", violations));
  EXPECT_FALSE(client.ok());
  EXPECT_EQ(client.status().message().find("cret"), absl::string_view::npos);
  setenv("REMOTE_OPTIONS_TEST_KEY", "abc", 1);
  client = MakeClientOptions(ReadRemoteOptions(
      Section({{"api_key_env", "REMOTE_OPTIONS_TEST_KEY"}}), "http://h", violations));
  EXPECT_EQ(*client->headers.Find("Authorization"), "Bearer abc");
  EXPECT_FALSE(MakeClientOptions(
                   ReadRemoteOptions(Section({{"api_key_env", "NO_SUCH"}}), "http://h", violations))
                   .ok());
  EXPECT_TRUE(violations.empty());
}

}  // namespace
}  // namespace boxkeeper::providers
