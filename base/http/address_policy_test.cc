#include "base/http/address_policy.h"

#include <gtest/gtest.h>

namespace boxkeeper::base::http {
namespace {

bool Allowed(const char* text, AddressPolicy policy = {}) {
  return CheckAddress(boost::asio::ip::make_address(text), policy).ok();
}

TEST(CheckAddress, ServersLiveAnywhereElse) {
  for (const char* good : {"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "8.8.8.8",
                           "fd00::1", "2001:db8::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(Allowed(good)) << good;
  }
}

TEST(CheckAddress, MetadataOnlyIfConfigured) {
  for (const char* metadata :
       {"169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "100.100.100.200",
        "192.0.0.192", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"}) {
    EXPECT_FALSE(Allowed(metadata)) << metadata;
    EXPECT_TRUE(Allowed(metadata, {.allow_link_local = true})) << metadata;
  }
}

TEST(CheckAddress, WhatIsNoServerNever) {
  for (const char* never : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
                            "::ffff:0.0.0.0", "64:ff9b::"}) {
    EXPECT_FALSE(Allowed(never, {.allow_link_local = true})) << never;
  }
}

}  // namespace
}  // namespace boxkeeper::base::http
