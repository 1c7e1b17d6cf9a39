#include "config/listen_address.h"

#include <gtest/gtest.h>

namespace boxkeeper::config {
namespace {

TEST(ListenAddressTest, ReadsEachForm) {
  struct Case {
    const char* text;
    const char* host;
    int port;
    bool loopback;
  };
  for (const Case& test :
       {Case{"127.0.0.1:7433", "127.0.0.1", 7433, true}, Case{"127.8.9.1:0", "127.8.9.1", 0, true},
        Case{"localhost:1", "localhost", 1, true}, Case{"[::1]:65535", "::1", 65535, true},
        Case{"0.0.0.0:1", "0.0.0.0", 1, false}, Case{"[::]:1", "::", 1, false},
        Case{"10.0.0.1:1", "10.0.0.1", 1, false}, Case{"box.example:1", "box.example", 1, false},
        Case{"localhost.example:1", "localhost.example", 1, false},
        // Maps to 127.0.0.1, but is not the loopback address of IPv6: the safe answer.
        Case{"[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, false}}) {
    const auto address = ParseListenAddress(test.text);
    ASSERT_TRUE(address.has_value()) << test.text;
    EXPECT_EQ(address->host, test.host);
    EXPECT_EQ(address->port, test.port);
    EXPECT_EQ(address->loopback, test.loopback) << test.text;
    EXPECT_EQ(address->unix_path, "");
  }
  EXPECT_EQ(ParseListenAddress("unix:/run/x.sock")->unix_path, "/run/x.sock");
  EXPECT_EQ(ParseListenAddress("unix:///run/x.sock")->unix_path, "/run/x.sock");
  EXPECT_EQ(ParseListenAddress("unix:x.sock")->unix_path, "x.sock");
}

TEST(ListenAddressTest, RefusesEverythingElse) {
  for (const char* text : {"",       ":",        ":80",          "a",           "a:",
                           "a:x",    "a:-1",     "a:65536",      "a:80x",       "a: 80",
                           "*:80",   "a b:80",   "::1:80",       "[::1:80",     "[]:80",
                           "[x]:80", "1.2.3:80", "256.0.0.1:80", "127.1:80",    "-a:80",
                           "unix:",  "unix:/",   "unix:/a/",     "http://a:80", "a_b:80"}) {
    EXPECT_FALSE(ParseListenAddress(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace boxkeeper::config
