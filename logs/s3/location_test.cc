#include "logs/s3/location.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs::s3 {
namespace {

struct Case {
  const char* bucket;
  const char* endpoint;
  const char* region;
  bool path_style;
  const char* origin;
  const char* root;
};

TEST(LocationTest, HostsAndPaths) {
  const Case cases[] = {
      {"b", "", "eu-west-1", false, "https://b.s3.eu-west-1.amazonaws.com", "/"},
      {"b", "", "cn-north-1", false, "https://b.s3.cn-north-1.amazonaws.com.cn", "/"},
      {"b", "", "us-east-1", true, "https://s3.us-east-1.amazonaws.com", "/b/"},
      {"a.b", "", "us-east-1", false, "https://s3.us-east-1.amazonaws.com", "/a.b/"},
      {"b", "https://x.r2.cloudflarestorage.com", "auto", false,
       "https://b.x.r2.cloudflarestorage.com", "/"},
      {"a.b", "http://minio.lan:9000", "us-east-1", false, "http://a.b.minio.lan:9000", "/"},
      {"b", "http://minio.lan:9000", "us-east-1", true, "http://minio.lan:9000", "/b/"},
      {"b", "http://127.0.0.1:9000/", "us-east-1", false, "http://127.0.0.1:9000", "/b/"},
      {"b", "http://[::1]:9000", "us-east-1", false, "http://[::1]:9000", "/b/"},
      {"b", "http://localhost:9000/s3", "us-east-1", false, "http://localhost:9000", "/s3/b/"}};
  for (const Case& expected : cases) {
    LocationOptions options;
    options.url.bucket = expected.bucket;
    options.endpoint = expected.endpoint;
    options.region = expected.region;
    options.path_style = expected.path_style;
    const auto location = Locate(options);
    ASSERT_TRUE(location.ok()) << location.status();
    EXPECT_EQ(location->origin.ToString(), expected.origin);
    EXPECT_EQ(location->root, expected.root);
  }
}

TEST(LocationTest, RefusesOtherEndpoints) {
  for (const char* endpoint :
       {"minio:9000", "unix:/run/s3", "https://key:secret@host", "ftp://h"}) {
    LocationOptions options;
    options.url.bucket = "b";
    options.region = "us-east-1";
    options.endpoint = endpoint;
    EXPECT_TRUE(absl::IsInvalidArgument(Locate(options).status())) << endpoint;
  }
}

}  // namespace
}  // namespace boxkeeper::logs::s3
