#include "providers/fakecloud/options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "providers/registry.h"

namespace boxkeeper::providers::fakecloud {
namespace {

google::protobuf::Struct Section(const std::string& base_url) {
  google::protobuf::Struct section;
  if (!base_url.empty()) (*section.mutable_fields())["base_url"].set_string_value(base_url);
  return section;
}

TEST(FakeCloudOptionsTest, OnlyTheUrlIsNeeded) {
  const auto options = ParseFakeCloudOptions(Section("http://127.0.0.1:1"));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_FALSE(options->one_step);
  EXPECT_TRUE(options->name_unique_incl_ended);
  EXPECT_FALSE(ParseFakeCloudOptions(Section("")).ok());
}

TEST(FakeCloudOptionsTest, ReadsWhatTheCloudPromises) {
  auto section = Section("http://127.0.0.1:1");
  (*section.mutable_fields())["one_step"].set_bool_value(true);
  (*section.mutable_fields())["events"].set_bool_value(false);
  (*section.mutable_fields())["list_lag"].set_string_value("1500ms");
  const auto options = ParseFakeCloudOptions(section);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_TRUE(options->one_step);
  EXPECT_FALSE(options->events);
  EXPECT_EQ(options->list_lag, std::chrono::milliseconds(1500));
}

TEST(FakeCloudOptionsTest, SaysEveryMistake) {
  auto section = Section("ftp://x");
  (*section.mutable_fields())["one_step"].set_string_value("yes");
  (*section.mutable_fields())["list_lag"].set_number_value(3);
  (*section.mutable_fields())["nonsense"].set_number_value(3);
  std::set<std::string> fields;
  for (const auto& violation : ValidateFakeCloudConfig(section)) fields.insert(violation.field);
  EXPECT_EQ(fields, (std::set<std::string>{"base_url", "list_lag", "nonsense", "one_step"}));
}

TEST(RegistrationTest, TypeIsKnownWhereItIsLinked) {
  const auto types = ProviderTypes();
  EXPECT_NE(std::find(types.begin(), types.end(), "fakecloud"), types.end());
  EXPECT_EQ(ValidateProviderConfig("fakecloud", Section("")).size(), 1u);
}

}  // namespace
}  // namespace boxkeeper::providers::fakecloud
