#include "logs/remote/store_url.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs::remote {
namespace {

TEST(StoreUrlTest, TakesUrlsApart) {
  auto url = ParseStoreUrl("s3", "s3://my-bucket/a/b c/");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->bucket, "my-bucket");
  EXPECT_EQ(url->prefix, "a/b c/");
  EXPECT_EQ(url->text, "s3://my-bucket/a/b c");
  for (const char* text : {"gs://b", "gs://b/"}) {
    url = ParseStoreUrl("gs", text);
    ASSERT_TRUE(url.ok()) << url.status();
    EXPECT_EQ(url->prefix, "");
    EXPECT_EQ(url->text, "gs://b");
  }
}

TEST(StoreUrlTest, RefusesWhatIsNone) {
  for (const char* text : {"", "s3:/b", "gs://b", "s3://", "s3:///a", "s3://b//a", "s3://b/../a",
                           "s3://b/a//", "s3://b/.", "s3://key:secret@b/a", "s3://b/a\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseStoreUrl("s3", text).status())) << text;
  }
}

TEST(StoreUrlTest, ObjectNames) {
  const StoreUrl url = *ParseStoreUrl("s3", "s3://b/p");
  EXPECT_TRUE(CheckObjectName(url, "a/.b/c..").ok());
  for (const char* name : {"", "/a", "a/", "a//b", "a/../b", "."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckObjectName(url, name))) << name;
  }
  EXPECT_TRUE(CheckObjectName(url, std::string(1022, 'a')).ok());
  EXPECT_FALSE(CheckObjectName(url, std::string(1023, 'a')).ok());
}

}  // namespace
}  // namespace boxkeeper::logs::remote
