#include "cli/wanted_output.h"

#include <gtest/gtest.h>

#include "cli/artifact_fetch.h"

namespace boxkeeper::cli {
namespace {

TEST(WantedOutputTest, TheLastColonDivides) {
  EXPECT_EQ(ParseWantedOutput("dist").pattern, "dist");
  EXPECT_EQ(ParseWantedOutput("dist").directory, "");
  EXPECT_EQ(ParseWantedOutput("dist/*.txt:/tmp/x").pattern, "dist/*.txt");
  EXPECT_EQ(ParseWantedOutput("dist/*.txt:/tmp/x").directory, "/tmp/x");
  EXPECT_EQ(ParseWantedOutput("a:b:.").pattern, "a:b");
  EXPECT_EQ(ParseWantedOutput("a:").directory, "");
}

TEST(WantedOutputTest, PathsDirectoriesAndGlobs) {
  EXPECT_TRUE(NamesArtifact("a", "a"));
  EXPECT_TRUE(NamesArtifact("./dist/", "dist/deep/.x"));
  EXPECT_TRUE(NamesArtifact("*.txt", "b.txt"));
  EXPECT_TRUE(NamesArtifact("**/*.txt", "a/b/c.txt"));
  EXPECT_TRUE(NamesArtifact("**/*.txt", "c.txt"));
  EXPECT_TRUE(NamesArtifact("**", "a/b"));
  EXPECT_TRUE(NamesArtifact(".", "a/b"));
  EXPECT_TRUE(NamesArtifact("/tmp/*", "/tmp/x"));
  EXPECT_FALSE(NamesArtifact("tmp/x", "/tmp/x"));
  EXPECT_FALSE(NamesArtifact("a/b", "a"));
  EXPECT_FALSE(NamesArtifact("*.txt", "d/b.txt"));
  EXPECT_FALSE(NamesArtifact("*", ".hidden"));
}

TEST(ArtifactFetchTest, WhatIsFetchedStaysBelowItsDirectory) {
  EXPECT_EQ(*LocalPath("d", "a/b"), "d/a/b");
  EXPECT_EQ(*LocalPath("/d", "/tmp/x"), "/d/tmp/x");
  for (const char* path : {"../x", "a/../../x", "/", "", "a//b", "/../x", "a/.."}) {
    EXPECT_FALSE(LocalPath("d", path).ok()) << path;
  }
}

}  // namespace
}  // namespace boxkeeper::cli
