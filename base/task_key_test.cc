#include "base/task_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

using ::testing::HasSubstr;

v1::TaskKey Key(const std::string& name) {
  v1::TaskKey key;
  key.set_name(name);
  return key;
}

TEST(TaskKeyTest, FillsInDefaults) {
  EXPECT_EQ(KeyString(Key("job")), "default/COMMAND///job/-1/1");
  v1::TaskKey normal = NormalKey(v1::TaskKey());
  EXPECT_EQ(normal.namespace_(), "default");
  EXPECT_EQ(normal.kind(), v1::TaskKey::COMMAND);
  EXPECT_EQ(normal.index(), -1);
  EXPECT_EQ(normal.try_(), 1);
}

TEST(TaskKeyTest, EncodesEachComponent) {
  v1::TaskKey key;
  key.set_namespace_("prod eu");
  key.set_kind(v1::TaskKey::TASK);
  key.set_group("a/b");
  key.set_run("manual__2026-01-01T00:00:00+00:00");
  key.set_name("..");
  key.set_index(7);
  key.set_try_(3);
  EXPECT_EQ(KeyString(key),
            "prod%20eu/TASK/a%2Fb/manual__2026-01-01T00%3A00%3A00%2B00%3A00/%2E%2E/7/3");
}

TEST(TaskKeyTest, ParsesWhatItFormats) {
  v1::TaskKey key = Key("n\xC3\xA9/%");
  key.set_group(".");
  key.set_index(0);
  auto parsed = ParseKey(KeyString(key));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->SerializeAsString(), NormalKey(key).SerializeAsString());
}

TEST(TaskKeyTest, EmptyComponentsAreTheDefaults) {
  auto parsed = ParseKey("////job//");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(KeyString(*parsed), "default/COMMAND///job/-1/1");
}

TEST(TaskKeyTest, SaysWhatIsWrong) {
  auto message = [](const char* text) { return std::string(ParseKey(text).status().message()); };
  EXPECT_THAT(message("job"), HasSubstr("has 1 parts, must have 7"));
  EXPECT_THAT(message("default/COMMAND///job/-1/1/"), HasSubstr("has 8 parts"));
  EXPECT_THAT(message("default/JOB///job/-1/1"), HasSubstr("kind: must be TASK"));
  EXPECT_THAT(message("default/COMMAND/%G//job/-1/1"), HasSubstr("group: '%' must be"));
  EXPECT_THAT(message("default/COMMAND///%FF/-1/1"), HasSubstr("name: not UTF-8"));
  EXPECT_THAT(message("default/COMMAND///a%00b/-1/1"), HasSubstr("name: contains NUL"));
  EXPECT_THAT(message("default/COMMAND///job/-2/1"), HasSubstr("index: must be an integer"));
  EXPECT_THAT(message("default/COMMAND///job/1x/1"), HasSubstr("index: must be an integer"));
  EXPECT_THAT(message("default/COMMAND///job/-1/-1"), HasSubstr("try: must be an integer"));
  EXPECT_THAT(message("default/COMMAND///job/-1/99999999999"), HasSubstr("try: must be"));
}

TEST(TaskKeyTest, PathHasSixSafeNames) {
  v1::TaskKey key = Key("..");
  key.set_group("a/b");
  EXPECT_EQ(KeyPath(key), "default/a%2Fb/_/%2E%2E/-1/1");
}

TEST(TaskKeyTest, LongPathComponentsAreCutOutsideEscapes) {
  std::string accents;
  for (int i = 0; i < 300; ++i) accents += "\xC3\xA9";
  std::string path = KeyPath(Key(accents));
  std::string component = path.substr(std::string("default/_/_/").size());
  component = component.substr(0, component.find('/'));
  EXPECT_LE(component.size(), 200u);
  EXPECT_GE(component.size(), 198u);
  EXPECT_EQ(component.size() % 3, 0u);
}

}  // namespace
}  // namespace boxkeeper::base
