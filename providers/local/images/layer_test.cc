#include "providers/local/images/layer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "providers/local/images/testing/oci_builder.h"

namespace boxkeeper::providers::local {
namespace {

using testing::Compression;
using testing::Content;
using testing::ScratchFolder;
using testing::TarEntry;

class LayerTest : public ::testing::Test {
 protected:
  LayerTest() {
    std::filesystem::create_directory(scratch_ / "root");
    std::ofstream(scratch_ / "outside") << "untouched";
    limits_.free_bytes_min = 0;
  }

  absl::Status Apply(const std::vector<std::vector<TarEntry>>& layers,
                     Compression compression = Compression::kNone) {
    base::UniqueFd root(open(Root("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    LayerUnpacker unpacker(std::move(root), limits_, stop_);
    for (const auto& entries : layers) {
      testing::WriteTar(scratch_ / "layer.tar", entries, compression);
      absl::Status status = unpacker.Apply(scratch_ / "layer.tar");
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  std::string Root(const std::string& path) const { return (scratch_ / "root") + "/" + path; }
  mode_t ModeOf(const std::string& path) const {
    struct stat status{};
    lstat(Root(path).c_str(), &status);
    return status.st_mode & 07777;
  }
  bool Exists(const std::string& path) const {
    struct stat status;
    return lstat(Root(path).c_str(), &status) == 0;
  }

  ScratchFolder scratch_;
  UnpackLimits limits_;
  std::atomic<bool> stop_ = false;
};

TEST_F(LayerTest, UnpacksEveryCompressionOfTheSpecification) {
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const absl::Status status = Apply(
        {{{"etc", "", 'd', 0755}, {"./etc/name", "box"}, {"/bin/deep/er", "x"}}}, compression);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(Content(Root("etc/name")), "box");
    EXPECT_EQ(Content(Root("bin/deep/er")), "x");
  }
}

TEST_F(LayerTest, KeepsLinksAndTimesAndDropsSpecialBits) {
  ASSERT_TRUE(Apply({{{"usr/bin", "", 'd', 0755},
                      {"usr/bin/su", "setuid", '-', 04755},
                      {"usr/bin/hard", "usr/bin/su", 'h'},
                      {"bin", "usr/bin", 'l'},
                      {"tmp", "", 'd', 01777},
                      {"closed", "", 'd', 0},
                      {"secret", "s", '-', 0}}})
                  .ok());
  EXPECT_EQ(ModeOf("usr/bin/su"), 0755u);
  EXPECT_EQ(ModeOf("tmp"), 01777u);
  EXPECT_EQ(ModeOf("closed"), 0700u);
  EXPECT_EQ(ModeOf("secret"), 0400u);
  EXPECT_EQ(Content(Root("bin/hard")), "setuid");
  struct stat status;
  ASSERT_EQ(stat(Root("usr/bin/su").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 2u);
  EXPECT_EQ(status.st_mtime, 1'700'000'000);
}

TEST_F(LayerTest, DevicesAndFifosAreLeftOut) {
  ASSERT_TRUE(
      Apply({{{"dev/null", "", 'c'}, {"dev/sda", "", 'b'}, {"pipe", "", 'p'}, {"f", ""}}}).ok());
  EXPECT_FALSE(Exists("dev/null"));
  EXPECT_FALSE(Exists("dev/sda"));
  EXPECT_FALSE(Exists("pipe"));
  EXPECT_TRUE(Exists("f"));
}

TEST_F(LayerTest, AWhiteoutHidesWhatLowerLayersHad) {
  ASSERT_TRUE(Apply({{{"d/old", "1"}, {"d/kept", "2"}, {"tree/a/b", "3"}},
                     {{"d/.wh.old", ""}, {".wh.tree", ""}, {"d/new", "4"}, {"d/.wh.never", ""}}})
                  .ok());
  EXPECT_FALSE(Exists("d/old"));
  EXPECT_FALSE(Exists("tree"));
  EXPECT_FALSE(Exists("d/.wh.old"));
  EXPECT_EQ(Content(Root("d/kept")), "2");
  EXPECT_EQ(Content(Root("d/new")), "4");
}

TEST_F(LayerTest, AnOpaqueDirectoryKeepsOnlyItsOwnLayersFilesWhereverTheMarkStands) {
  ASSERT_TRUE(Apply({{{"d/old", "1"}, {"d/sub/old", "2"}, {"other", "3"}},
                     {{"d/new", "4"}, {"d/sub/new", "5"}, {"d/.wh..wh..opq", ""}, {"d/last", "6"}}})
                  .ok());
  EXPECT_FALSE(Exists("d/old"));
  EXPECT_FALSE(Exists("d/sub/old"));
  EXPECT_EQ(Content(Root("d/new")), "4");
  EXPECT_EQ(Content(Root("d/sub/new")), "5");
  EXPECT_EQ(Content(Root("d/last")), "6");
  EXPECT_EQ(Content(Root("other")), "3");
}

TEST_F(LayerTest, AnUpperLayerReplacesAnyKindByAnyOther) {
  EXPECT_FALSE(Apply({{{"b", "file"}}, {{"b/y", "below a file"}}}).ok());
  ASSERT_TRUE(Apply({{{"g/x", "1"}, {"c", "b", 'l'}, {"e", "g", 'l'}},
                     {{"g", "file"}, {"c", "own"}, {"e", "", 'd', 0755}}})
                  .ok());
  EXPECT_EQ(Content(Root("g")), "file");
  EXPECT_EQ(Content(Root("c")), "own");
  EXPECT_TRUE(std::filesystem::is_directory(std::filesystem::symlink_status(Root("e"))));
}

TEST_F(LayerTest, NothingIsWrittenOutside) {
  const std::string outside = scratch_ / "outside";
  const std::string above = scratch_ / "above";
  // "..": refused.
  for (const char* path : {"../above", "a/../../above", "/../above", ".."}) {
    EXPECT_EQ(Apply({{{path, "evil"}}}).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  // Through symbolic links, absolute and upward: they lead to places below the root.
  (void)Apply({{{"up", "..", 'l'}, {"up/above", "evil"}}});
  (void)Apply({{{"far", scratch_.path(), 'l'}, {"far/above", "evil"}}});
  (void)Apply({{{"deep/up", "../../../../../../../tmp", 'l'}, {"deep/up/bk-evil", "evil"}}});
  (void)Apply({{{"self", "/proc/self/root", 'l'}, {"self/above", "evil"}}});
  // Over a link itself: the link is replaced.
  ASSERT_TRUE(Apply({{{"f", outside, 'l'}, {"f", "mine"}}}).ok());
  EXPECT_EQ(Content(Root("f")), "mine");
  // A hard link to a file outside, by path and by a link in the image, then writing to it.
  EXPECT_FALSE(Apply({{{"h", "../outside", 'h'}, {"h", "evil"}}}).ok());
  EXPECT_FALSE(Apply({{{"h2", outside, 'h'}}}).ok());
  (void)Apply({{{"l2", outside, 'l'}, {"h3", "l2", 'h'}, {"h3", "evil"}}});
  // Whiteouts through links.
  (void)Apply({{{"w", "..", 'l'}, {"w/.wh.outside", ""}}});
  (void)Apply({{{"w2", scratch_.path(), 'l'}, {"w2/.wh..wh..opq", ""}}});
  EXPECT_FALSE(Apply({{{"x/.wh...", ""}}}).ok());
  EXPECT_EQ(Content(outside), "untouched");
  EXPECT_EQ(Content(above), "<absent>");
  EXPECT_EQ(Content("/tmp/bk-evil"), "<absent>");
}

TEST_F(LayerTest, LimitsAreKept) {
  limits_.bytes = 1000;
  EXPECT_EQ(Apply({{{"big", std::string(1001, 'x')}}}).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Apply({{{"fits", std::string(1000, 'x')}}}).ok());
  limits_.entries = 3;
  EXPECT_EQ(Apply({{{"a", ""}, {"b", ""}}, {{"c", ""}, {"d", ""}}}).code(),
            absl::StatusCode::kResourceExhausted);
  limits_ = UnpackLimits{};
  limits_.free_bytes_min = uint64_t{1} << 60;
  EXPECT_EQ(Apply({{{"a", ""}}}).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(LayerTest, ABombOfZerosStopsAtTheLimit) {
  limits_.bytes = 1 << 20;
  EXPECT_EQ(Apply({{{"zeros", std::string(64 << 20, '\0')}}}, Compression::kGzip).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(LayerTest, DamagedOrForeignArchivesAreRefused) {
  std::ofstream(scratch_ / "layer.tar") << std::string(5000, 'x');
  base::UniqueFd root(open(Root("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  LayerUnpacker unpacker(std::move(root), limits_, stop_);
  EXPECT_EQ(unpacker.Apply(scratch_ / "layer.tar").code(), absl::StatusCode::kInvalidArgument);
  testing::WriteTar(scratch_ / "cut.tar", {{"a", std::string(100'000, 'y')}}, Compression::kNone);
  std::filesystem::resize_file(scratch_ / "cut.tar", 50'000);
  EXPECT_EQ(unpacker.Apply(scratch_ / "cut.tar").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LayerTest, StopsWhenTold) {
  stop_ = true;
  EXPECT_EQ(Apply({{{"a", "1"}}}).code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace boxkeeper::providers::local
