#include "cli/node.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

Node Sample() {
  return Node{Object{
      {"name", Node::Text("a b")},
      {"count", Node::Bare("3")},
      {"empty", Node{List{}}},
      {"none", Node{Object{}}},
      {"items",
       Node{List{Node::Text("x1"), Node{Object{{"k", Node::Bool(true)}, {"l", Node::Text("")}}}}}},
  }};
}

TEST(NodeTest, CompactJsonIsOneLine) {
  EXPECT_EQ(CompactJson(Sample()),
            R"({"name":"a b","count":3,"empty":[],"none":{},"items":["x1",{"k":true,"l":""}]})");
}

TEST(NodeTest, PrettyJsonIsIndented) {
  EXPECT_EQ(PrettyJson(Node{
                Object{{"a", Node{List{Node::Bare("1"), Node::Bare("2")}}}, {"b", Node{List{}}}}}),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}\n");
}

TEST(NodeTest, JsonEscapesWhatSteersTerminals) {
  EXPECT_EQ(CompactJson(Node::Text(std::string("\"\\\n\t\x1b\x7f\0", 7))),
            R"("\"\\\n\t\u001b\u007f\u0000")");
  EXPECT_EQ(CompactJson(Node::Text("\xC2\x9B\xC3\xA9\xFF")), "\"\\u009b\xC3\xA9\\ufffd\"");
}

TEST(NodeTest, YamlIsBlockStyle) {
  EXPECT_EQ(Yaml(Sample()),
            "name: \"a b\"\n"
            "count: 3\n"
            "empty: []\n"
            "none: {}\n"
            "items:\n"
            "  - x1\n"
            "  - \"k\": true\n"
            "    \"l\": \"\"\n");
}

TEST(NodeTest, YamlQuotesWhatWouldBeReadAsSomethingElse) {
  for (const char* text :
       {"true", "no", "null", "12", "1e5", "-x", "2026-01-01", "a: b", "#x", ""}) {
    EXPECT_EQ(Yaml(Node::Text(text)), CompactJson(Node::Text(text)) + "\n");
  }
  EXPECT_EQ(Yaml(Node::Text("plain-word/x_1")), "plain-word/x_1\n");
}

TEST(NodeTest, YamlNestsLists) {
  EXPECT_EQ(Yaml(Node{List{Node{List{Node::Bare("1"), Node::Bare("2")}}, Node::Bare("3")}}),
            "- - 1\n  - 2\n- 3\n");
}

}  // namespace
}  // namespace boxkeeper::cli
