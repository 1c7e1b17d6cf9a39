#include "providers/local/images/testing/oci_builder.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hex.h"
#include "base/sha256.h"

namespace boxkeeper::providers::local::testing {
namespace {

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

unsigned TypeOf(char letter) {
  switch (letter) {
    case 'd':
      return AE_IFDIR;
    case 'l':
      return AE_IFLNK;
    case 'c':
      return AE_IFCHR;
    case 'b':
      return AE_IFBLK;
    case 'p':
      return AE_IFIFO;
    default:
      return AE_IFREG;
  }
}

}  // namespace

void WriteTar(const std::string& file, const std::vector<TarEntry>& entries,
              Compression compression) {
  struct archive* tar = archive_write_new();
  archive_write_set_format_pax_restricted(tar);
  if (compression == Compression::kGzip) archive_write_add_filter_gzip(tar);
  if (compression == Compression::kZstd) archive_write_add_filter_zstd(tar);
  ASSERT_EQ(archive_write_open_filename(tar, file.c_str()), ARCHIVE_OK);
  for (const TarEntry& from : entries) {
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, from.path.c_str());
    archive_entry_set_mode(entry, static_cast<mode_t>(TypeOf(from.type) | from.mode));
    archive_entry_set_mtime(entry, 1'700'000'000, 0);
    if (from.type == 'l') archive_entry_set_symlink(entry, from.data.c_str());
    if (from.type == 'h') archive_entry_set_hardlink(entry, from.data.c_str());
    if (from.type == '-') archive_entry_set_size(entry, static_cast<int64_t>(from.data.size()));
    EXPECT_EQ(archive_write_header(tar, entry), ARCHIVE_OK) << archive_error_string(tar);
    if (from.type == '-') archive_write_data(tar, from.data.data(), from.data.size());
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(tar), ARCHIVE_OK);
  archive_write_free(tar);
}

ScratchFolder::ScratchFolder() {
  char path[] = "/tmp/bk-images-XXXXXX";
  EXPECT_NE(mkdtemp(path), nullptr);
  path_ = path;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "<absent>";
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

OciBuilder::OciBuilder(std::string folder) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_ + "/blobs/sha256");
  WriteFile(folder_ + "/oci-layout", R"({"imageLayoutVersion": "1.0.0"})");
  WriteIndex();
}

std::string OciBuilder::Blob(const std::string& digest) const {
  return absl::StrCat(folder_, "/blobs/sha256/", digest);
}

std::string OciBuilder::AddBlob(const std::string& content) {
  std::string digest = base::HexEncode(base::Sha256(content));
  WriteFile(Blob(digest), content);
  return digest;
}

std::string OciBuilder::AddImage(const std::vector<std::vector<TarEntry>>& layers,
                                 const std::string& tag, const std::string& config,
                                 Compression compression, const std::string& architecture) {
  std::vector<std::string> descriptors;
  for (const auto& entries : layers) {
    const std::string scratch = folder_ + "/scratch";
    WriteTar(scratch, entries, compression);
    const std::string content = Content(scratch);
    std::filesystem::remove(scratch);
    descriptors.push_back(absl::StrCat(R"({"mediaType": "application/vnd.oci.image.layer.v1.tar",)",
                                       R"("digest": "sha256:)", AddBlob(content), R"(", "size": )",
                                       content.size(), "}"));
  }
  const std::string image = absl::StrCat(R"({"os": "linux", "architecture": ")", architecture,
                                         R"(", "config": )", config, "}");
  const std::string manifest = absl::StrCat(
      R"({"schemaVersion": 2, "config": {"digest": "sha256:)", AddBlob(image), R"(", "size": )",
      image.size(), R"(}, "layers": [)", absl::StrJoin(descriptors, ","), "]}");
  const std::string digest = AddBlob(manifest);
  const std::string annotations =
      tag.empty() ? ""
                  : absl::StrCat(R"(, "annotations": {"org.opencontainers.image.ref.name": ")", tag,
                                 R"("})");
  manifests_.push_back(absl::StrCat(
      R"({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:)", digest,
      R"(", "size": )", manifest.size(), R"(, "platform": {"os": "linux", "architecture": ")",
      architecture, R"("})", annotations, "}"));
  WriteIndex();
  return digest;
}

void OciBuilder::NestIndex() {
  const std::string index = Content(folder_ + "/index.json");
  manifests_ = {
      absl::StrCat(R"({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:)",
                   AddBlob(index), R"(", "size": )", index.size(), "}")};
  WriteIndex();
}

void OciBuilder::WriteIndex() {
  WriteFile(folder_ + "/index.json", absl::StrCat(R"({"schemaVersion": 2, "manifests": [)",
                                                  absl::StrJoin(manifests_, ","), "]}"));
}

}  // namespace boxkeeper::providers::local::testing
