#include "providers/local/images/oci_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "providers/local/images/testing/oci_builder.h"

namespace boxkeeper::providers::local {
namespace {

using ::testing::HasSubstr;
using testing::OciBuilder;
using testing::ScratchFolder;
using testing::TarEntry;

const std::vector<std::vector<TarEntry>> kLayers = {{{"a", "1"}}, {{"b", "2"}}};
const std::vector<std::vector<TarEntry>> kOtherLayers = {{{"a", "other"}}};

TEST(OciLayoutTest, ADirectoryIsUsedAsItIs) {
  ScratchFolder scratch;
  const auto image = ResolveImage(scratch.path());
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->directory, scratch.path());
  EXPECT_EQ(image->digest, "");
}

TEST(OciLayoutTest, ReadsTheLayersAndTheDefaultsOfALayout) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  const std::string digest = layout.AddImage(
      kLayers, "", R"({"Env": ["PATH=/opt/bin", "EMPTY="], "WorkingDir": "/app", "User": "7"})");
  const auto image = ResolveImage(layout.path());
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->digest, digest);
  EXPECT_EQ(image->layers.size(), 2u);
  const std::vector<std::pair<std::string, std::string>> env{{"PATH", "/opt/bin"}, {"EMPTY", ""}};
  EXPECT_EQ(image->defaults.env, env);
  EXPECT_EQ(image->defaults.workdir, "/app");
}

TEST(OciLayoutTest, SeveralImagesNeedATagOrADigest) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  const std::string first = layout.AddImage(kLayers, "3.19");
  const std::string second = layout.AddImage(kOtherLayers, "3.20");
  const auto vague = ResolveImage(layout.path());
  EXPECT_EQ(vague.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(vague.status().message()), HasSubstr("its tags: 3.19, 3.20"));
  EXPECT_EQ(ResolveImage(layout.path() + ":3.19")->digest, first);
  EXPECT_EQ(ResolveImage(layout.path() + "@sha256:" + second)->digest, second);
  EXPECT_EQ(ResolveImage(layout.path() + ":3.21").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ResolveImage(layout.path() + "@sha256:12").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(OciLayoutTest, OfSeveralPlatformsOursIsTakenAlsoBelowAnIndex) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  layout.AddImage(kOtherLayers, "", "{}", testing::Compression::kGzip, "arm64");
  const std::string ours = layout.AddImage(kLayers);
  EXPECT_EQ(ResolveImage(layout.path())->digest, ours);
  layout.NestIndex();
  const auto nested = ResolveImage(layout.path());
  ASSERT_TRUE(nested.ok()) << nested.status();
  EXPECT_EQ(nested->digest, ours);
}

TEST(OciLayoutTest, AnotherPlatformAloneIsToldSo) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  layout.AddImage(kLayers, "", "{}", testing::Compression::kGzip, "arm64");
  const auto image = ResolveImage(layout.path());
  EXPECT_EQ(image.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("linux/amd64"));
}

TEST(OciLayoutTest, WhatIsThereButNoImageIsToldWithItsPath) {
  ScratchFolder scratch;
  EXPECT_EQ(ResolveImage(scratch / "nothing").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ResolveImage(scratch.path() + ":tag").status().code(),
            absl::StatusCode::kInvalidArgument);
  OciBuilder layout(scratch / "oci");
  const std::string digest = layout.AddImage(kLayers);
  std::ofstream(layout.Blob(digest), std::ios::app) << " ";
  const auto changed = ResolveImage(layout.path());
  EXPECT_EQ(changed.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(changed.status().message()), HasSubstr(digest));
  std::ofstream(layout.path() + "/index.json") << "{";
  EXPECT_EQ(ResolveImage(layout.path()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(OciLayoutTest, AMissingOrTruncatedLayerIsFoundWithoutReadingIt) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  layout.AddImage(kLayers);
  const LayerBlob layer = ResolveImage(layout.path())->layers[1];
  std::filesystem::resize_file(layer.path, 3);
  EXPECT_EQ(ResolveImage(layout.path()).status().code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(layer.path);
  EXPECT_EQ(ResolveImage(layout.path()).status().code(), absl::StatusCode::kNotFound);
}

TEST(OciLayoutTest, DigestsCannotNameOtherFiles) {
  ScratchFolder scratch;
  OciBuilder layout(scratch / "oci");
  std::ofstream(layout.path() + "/index.json")
      << R"({"manifests": [{"digest": "sha256:../../../../etc/passwd", "size": 1}]})";
  EXPECT_EQ(ResolveImage(layout.path()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace boxkeeper::providers::local
