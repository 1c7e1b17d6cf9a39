#include "base/core/outputs_format.h"

#include <gtest/gtest.h>

namespace boxkeeper::base {
namespace {

OutputsManifest Sample() {
  OutputsManifest manifest;
  manifest.files.push_back({.path = "dist/\xc3\xa4 b.txt",
                            .offset = 0,
                            .size = 5,
                            .modified_unix_ns = 1'700'000'000'123'456'789,
                            .mode = 0755,
                            .sha256 = std::string(32, 'a')});
  manifest.files.push_back({.path = "/tmp/x", .offset = 5, .sha256 = std::string(32, '\0')});
  manifest.skipped = 7;
  manifest.notes = {"'pipe': not a regular file", ""};
  return manifest;
}

TEST(OutputsFormatTest, AManifestComesBack) {
  EXPECT_EQ(ParseOutputsManifest(EncodeOutputsManifest(Sample())), Sample());
  EXPECT_EQ(ParseOutputsManifest(EncodeOutputsManifest({})), OutputsManifest());
}

TEST(OutputsFormatTest, EveryFlippedByteAndEveryCutIsSeen) {
  const std::string bytes = EncodeOutputsManifest(Sample());
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(ParseOutputsManifest(bytes.substr(0, i)), std::nullopt) << i;
    if (i >= 20 && i < 24) continue;  // the zero nobody reads
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    EXPECT_EQ(ParseOutputsManifest(damaged), std::nullopt) << i;
  }
}

TEST(OutputsFormatTest, WhatMayBeAPath) {
  for (const char* good : {"a", "a/b", "/a/b", ".hidden", "..a", "a b", "\xc3\xa4"}) {
    EXPECT_TRUE(IsOutputPath(good)) << good;
  }
  for (const char* bad : {"", "/", "a//b", "a/", "../a", "a/..", "./a", "a\nb", "\x7f", "\xff"}) {
    EXPECT_FALSE(IsOutputPath(bad)) << bad;
  }
  EXPECT_FALSE(IsOutputPath(std::string(kOutputPathBytesMax + 1, 'a')));
  EXPECT_FALSE(IsOutputPath(std::string_view("a\0b", 3)));
}

TEST(OutputsFormatTest, Patterns) {
  for (const char* good : {"a", "/tmp/x", "**", "./a/", ".", "a b", "\xc3\xa4"}) {
    EXPECT_EQ(CheckOutputPattern(good), "") << good;
  }
  for (const char* bad : {"", "..", "a/../b", "/", "//./", "a\nb", "\xff"}) {
    EXPECT_NE(CheckOutputPattern(bad), "") << bad;
  }
  EXPECT_EQ(SplitOutputPattern("./a//b/."), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace boxkeeper::base
