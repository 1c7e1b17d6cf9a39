#include "base/http/base_url.h"

#include <gtest/gtest.h>

namespace boxkeeper::base::http {
namespace {

TEST(ParseBaseUrl, TakesAddressesApart) {
  const auto plain = ParseBaseUrl("https://API.Example.com");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->origin.host, "api.example.com");
  EXPECT_EQ(plain->origin.port, 443);
  EXPECT_EQ(plain->path, "");
  EXPECT_EQ(plain->origin.Authority(), "api.example.com");
  const auto full = ParseBaseUrl("http://[::1]:8080/v1/x/");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->origin.host, "::1");
  EXPECT_EQ(full->origin.Authority(), "[::1]:8080");
  EXPECT_EQ(full->path, "/v1/x");
  const auto socket = ParseBaseUrl("unix:/run/docker.sock");
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(socket->origin.socket_path, "/run/docker.sock");
  EXPECT_EQ(socket->origin.Authority(), "localhost");
}

TEST(ParseBaseUrl, SaysWhatIsWrongWithoutRepeatingIt) {
  for (const char* bad :
       {"", "api.example.com", "ftp://x", "https://", "https://user:hunter2@x", "https://x:0",
        "https://x:65536", "https://x:1x", "https://x y", "https://x/?q=1", "https://x/#f",
        "https://x/a b", "unix:relative", "https://[::1", "https://[g::1]"}) {
    const auto parsed = ParseBaseUrl(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(parsed.status().message()).find("hunter2"), std::string::npos);
  }
}

TEST(ResolveRedirect, StaysOnTheServer) {
  const Origin origin = ParseBaseUrl("https://a.example:8443")->origin;
  const auto to = [&](const char* location) {
    return ResolveRedirect(origin, "/v1/list?page=1", location);
  };
  EXPECT_EQ(*to("/v2/list"), "/v2/list");
  EXPECT_EQ(*to("other?x=1"), "/v1/other?x=1");
  EXPECT_EQ(*to("?page=2"), "/v1/list?page=2");
  EXPECT_EQ(*to("https://a.example:8443/v3#part"), "/v3");
  EXPECT_EQ(*to("https://A.EXAMPLE:8443"), "/");
  EXPECT_EQ(*to("//a.example:8443/x"), "/x");
  EXPECT_EQ(*to("/next?to=https://b.example/"), "/next?to=https://b.example/");
}

TEST(ResolveRedirect, LeadsNowhereElse) {
  const Origin origin = ParseBaseUrl("https://a.example")->origin;
  for (const char* location :
       {"http://a.example/", "https://a.example:444/", "https://b.example/", "//b.example/",
        "https://a.example@b.example/", "https://169.254.169.254/latest", "file:///etc/passwd"}) {
    const auto resolved = ResolveRedirect(origin, "/", location);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kPermissionDenied) << location;
  }
  EXPECT_FALSE(ResolveRedirect(origin, "/", "").ok());
  EXPECT_FALSE(ResolveRedirect(origin, "/", "/a\r\nX: y").ok());
}

}  // namespace
}  // namespace boxkeeper::base::http
