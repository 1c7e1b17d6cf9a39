#include "config/yaml_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace boxkeeper::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = Value::Kind;

Value Parse(const std::string& text) {
  std::vector<Problem> problems;
  Value value = ParseYaml(text, &problems);
  EXPECT_THAT(problems, IsEmpty()) << text;
  return value;
}

Value Scalar(const std::string& text) {
  const Value root = Parse("k: " + text);
  const Value* value = root.Find("k");
  return value == nullptr ? Value() : *value;
}

// "line key message" of each.
std::vector<std::string> Problems(const std::string& text) {
  std::vector<Problem> problems;
  ParseYaml(text, &problems);
  std::vector<std::string> texts;
  texts.reserve(problems.size());
  for (const Problem& problem : problems) {
    texts.push_back(std::to_string(problem.line) + " " + problem.key + " " + problem.message);
  }
  return texts;
}

TEST(YamlValueTest, PlainScalarsFollowTheCoreSchema) {
  for (const char* text : {"~", "null", "Null", "NULL", ""}) {
    EXPECT_EQ(Scalar(text).kind, Kind::kNull) << text;
  }
  for (const char* text : {"true", "True", "TRUE"}) EXPECT_TRUE(Scalar(text).boolean) << text;
  EXPECT_EQ(Scalar("false").kind, Kind::kBool);
  const std::pair<const char*, double> numbers[] = {
      {"1", 1},     {"-1", -1},  {"+1", 1},     {"017", 17},        {"0o17", 15}, {"0x1F", 31},
      {"1.5", 1.5}, {".5", 0.5}, {"1e3", 1000}, {"-1.5E-1", -0.15}, {"1.", 1},    {"0", 0},
  };
  for (const auto& [text, number] : numbers) {
    EXPECT_EQ(Scalar(text).kind, Kind::kNumber) << text;
    EXPECT_EQ(Scalar(text).number, number) << text;
    EXPECT_EQ(Scalar(text).text, text);
  }
  for (const char* text : {"yes", "no", "on", "off", "1:30", "5s", "1_000", "0x", "0xG", "--1",
                           "e3", ".", "\"1\"", "'true'", "\"~\"", "!!str 5", "1 2", "2030-01-01"}) {
    EXPECT_EQ(Scalar(text).kind, Kind::kText) << text;
  }
}

TEST(YamlValueTest, EverythingKnowsItsLine) {
  const Value root = Parse("a:\n  - x\n  - {b: 1}\nc: |\n  text\n");
  EXPECT_EQ(root.entries[0].line, 1);
  EXPECT_EQ(root.entries[0].value.items[0].line, 2);
  EXPECT_EQ(root.entries[0].value.items[1].entries[0].line, 3);
  EXPECT_EQ(root.entries[1].line, 4);
  EXPECT_EQ(root.entries[1].value.text, "text\n");
}

TEST(YamlValueTest, AnchorsAndMergeKeysWork) {
  const Value root = Parse(
      "base: &base {a: 1, b: 2}\n"
      "more: &more {c: 3, a: 9}\n"
      "one: {<<: *base, b: 3}\n"
      "both: {<<: [*base, *more]}\n"
      "same: *base\n"
      "name: &name text\n"
      "copy: *name\n"
      "quoted: {\"<<\": 1}\n");
  EXPECT_EQ(root.Find("one")->Find("a")->number, 1);
  EXPECT_EQ(root.Find("one")->Find("b")->number, 3);
  EXPECT_EQ(root.Find("both")->Find("a")->number, 1);
  EXPECT_EQ(root.Find("both")->Find("c")->number, 3);
  EXPECT_EQ(root.Find("same")->Find("b")->number, 2);
  EXPECT_EQ(root.Find("copy")->text, "text");
  EXPECT_THAT(root.Find("quoted")->entries, SizeIs(1));
}

TEST(YamlValueTest, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(Problems("a: 1\nb:\n  c: 1\n  c: 2\n"),
              ElementsAre("4 b.c the key is already there on line 3; each key may stand once"));
  EXPECT_THAT(Problems("a: [1, {x: 1, x: 2}]"), ElementsAre(HasSubstr("1 a[1].x the key is")));
  EXPECT_THAT(Problems("? [1]\n: 2\n"), ElementsAre(HasSubstr("a key must be plain text")));
  EXPECT_THAT(Problems("a: {<<: 5}"), ElementsAre(HasSubstr("takes a map or a list of maps")));
  EXPECT_THAT(Problems("a: !!binary x"), ElementsAre(HasSubstr("1 a the tag")));
  EXPECT_THAT(Problems("a: &a [*a]"), ElementsAre(HasSubstr("1 a[0] the alias lies inside")));
  EXPECT_THAT(Problems("a: *nowhere"), ElementsAre(HasSubstr("1  malformed YAML")));
  EXPECT_THAT(Problems("a: 1\nb: [\n"), ElementsAre(HasSubstr("malformed YAML")));
  EXPECT_THAT(Problems("a: 'x"), ElementsAre(HasSubstr("malformed YAML")));
  EXPECT_THAT(Problems("a: 1\nb: \xff\n"), ElementsAre(HasSubstr("2  is not valid UTF-8")));
}

TEST(YamlValueTest, HugeMapsAreReadInTime) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "k" + std::to_string(i) + ": \n";
  EXPECT_THAT(Parse(text).entries, SizeIs(20'000));
  std::string repeated;
  for (int i = 0; i < 20'000; ++i) repeated += "k: \n";
  EXPECT_THAT(Problems(repeated), SizeIs(kYamlProblemsMax));
}

TEST(YamlValueTest, NoInputCrashesTheParser) {
  const std::string pieces[] = {"[",  "]",  "{",  "}", ":", "- ", "? ", "&a ",   "*a ", "!x ",
                                "\n", "  ", "\"", "|", "%", ",",  "k",  "---\n", "\t",  "\xff"};
  // Every sequence of three pieces.
  for (const std::string& a : pieces) {
    for (const std::string& b : pieces) {
      for (const std::string& c : pieces) {
        std::vector<Problem> problems;
        ParseYaml(absl::StrCat(a, b, c), &problems);
      }
    }
  }
}

}  // namespace
}  // namespace boxkeeper::config
