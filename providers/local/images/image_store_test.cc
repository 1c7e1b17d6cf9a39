#include "providers/local/images/image_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "providers/local/images/testing/oci_builder.h"

namespace boxkeeper::providers::local {
namespace {

using testing::Content;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::OciBuilder;
using testing::ScratchFolder;
using testing::TarEntry;

std::set<std::string> Names(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename());
  }
  return names;
}

class ImageStoreTest : public ::testing::Test {
 protected:
  ImageStoreTest() : store_(scratch_ / "images", UnpackLimits{.free_bytes_min = 0}) {}

  absl::StatusOr<std::string> Prepare() {
    const auto image = ResolveImage(layout_.path());
    if (!image.ok()) return image.status();
    return store_.Prepare(*image, stop_);
  }

  ScratchFolder scratch_;
  OciBuilder layout_{scratch_ / "oci"};
  ImageStore store_;
  std::atomic<bool> stop_ = false;
};

TEST_F(ImageStoreTest, UnpacksOnceUnderTheDigest) {
  const std::string digest = layout_.AddImage({{{"etc/name", "one"}}, {{"etc/name", "two"}}});
  auto root = Prepare();
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(*root, absl::StrCat(scratch_ / "images", "/", digest));
  EXPECT_EQ(Content(*root + "/etc/name"), "two");
  std::ofstream(*root + "/mark") << "same";
  EXPECT_EQ(*Prepare(), *root);
  EXPECT_EQ(Content(*root + "/mark"), "same");
}

TEST_F(ImageStoreTest, ALayerOfAnotherDigestIsNeverUnpacked) {
  layout_.AddImage({{{"a", "1"}}, {{"b", "2"}}});
  const LayerBlob layer = ResolveImage(layout_.path())->layers[1];
  std::string bytes = Content(layer.path);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(layer.path, std::ios::binary) << bytes;
  const auto root = Prepare();
  EXPECT_EQ(root.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(root.status().message()), HasSubstr(layer.digest));
  EXPECT_THAT(Names(scratch_ / "images"), IsEmpty());
}

TEST_F(ImageStoreTest, AFailureLeavesNothingBehindAndNamesTheLayer) {
  layout_.AddImage({{{"a", "1"}}, {{"../evil", "2"}}});
  const auto root = Prepare();
  EXPECT_EQ(root.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(root.status().message()), HasSubstr("../evil"));
  EXPECT_THAT(Names(scratch_ / "images"), IsEmpty());
  EXPECT_EQ(Content(scratch_ / "evil"), "<absent>");
}

TEST_F(ImageStoreTest, WhatBrokeOffIsStartedAnew) {
  const std::string digest = layout_.AddImage({{{"a", "1"}}});
  const std::string partial = absl::StrCat(scratch_ / "images", "/", digest, ".part");
  std::filesystem::create_directories(partial + "/left/over");
  const auto root = Prepare();
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_FALSE(std::filesystem::exists(*root + "/left"));
  EXPECT_EQ(Names(scratch_ / "images"), std::set<std::string>{digest});
}

TEST_F(ImageStoreTest, RemovesAllButWhatIsKept) {
  const std::string digest = layout_.AddImage({{{"a", "1"}}});
  ASSERT_TRUE(Prepare().ok());
  std::filesystem::create_directories(scratch_ / "images/0123.part/x");
  std::filesystem::create_directories(scratch_ / "images/4567/y");
  ASSERT_TRUE(store_.RemoveOthers({digest}).ok());
  EXPECT_EQ(Names(scratch_ / "images"), std::set<std::string>{digest});
  ASSERT_TRUE(store_.RemoveOthers({}).ok());
  EXPECT_THAT(Names(scratch_ / "images"), IsEmpty());
}

TEST_F(ImageStoreTest, ADirectoryStaysWhereItIs) {
  const auto image = ResolveImage(scratch_.path());
  EXPECT_EQ(*store_.Prepare(*image, stop_), scratch_.path());
}

}  // namespace
}  // namespace boxkeeper::providers::local
