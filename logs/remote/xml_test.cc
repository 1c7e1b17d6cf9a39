#include "logs/remote/xml.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs::remote {
namespace {

TEST(XmlTest, ReadsAList) {
  auto root = XmlElement::Parse(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>b</Name><IsTruncated>true</IsTruncated>
  <Contents><Key>a&amp;b/&#x20;&lt;1&gt;</Key><Size>3</Size></Contents>
  <Contents><Key> </Key></Contents>
</ListBucketResult>)");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(root->name(), "ListBucketResult");
  EXPECT_EQ(root->Text("IsTruncated"), "true");
  EXPECT_EQ(root->Text("Contents/Size"), "3");
  EXPECT_TRUE(root->Has("Name"));
  EXPECT_FALSE(root->Has("NextContinuationToken"));
  const auto contents = root->Children("Contents");
  ASSERT_EQ(contents.size(), 2u);
  EXPECT_EQ(contents[0].Text("Key"), "a&b/ <1>");
  EXPECT_EQ(contents[1].Text("Key"), " ");
  EXPECT_EQ(contents[1].Children("Key")[0].text(), " ");
}

TEST(XmlTest, ACutOrForeignDocumentIsAnError) {
  for (const char* text : {"", "<html><body>", "{\"error\":1}", "<a><b></a>"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(XmlElement::Parse(text).status())) << text;
  }
}

TEST(XmlTest, EntitiesAreNotExpanded) {
  auto root = XmlElement::Parse(
      R"(<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]><e><Code>&x;</Code></e>)");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(root->Text("Code"), "&x;");
}

TEST(XmlTest, Escapes) { EXPECT_EQ(XmlEscape("a<&>\"b\x01"), "a&lt;&amp;&gt;&quot;b?"); }

}  // namespace
}  // namespace boxkeeper::logs::remote
