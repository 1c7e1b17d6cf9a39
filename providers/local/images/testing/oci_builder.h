// Makes OCI image layouts for tests, hostile ones too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boxkeeper::providers::local::testing {

// One entry of a layer. Type by the letter of tar's list: '-' file, 'd', 'l' symbolic link (`data`
// is the target), 'h' hard link (likewise), 'c' and 'b' devices, 'p' FIFO.
struct TarEntry {
  std::string path;
  std::string data;
  char type = '-';
  uint32_t mode = 0644;
};

enum class Compression { kNone, kGzip, kZstd };

// Writes a tar, byte for byte as told.
void WriteTar(const std::string& file, const std::vector<TarEntry>& entries,
              Compression compression = Compression::kNone);

// A folder that a test can do anything in; removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The content of a file, "<absent>" where there is none.
std::string Content(const std::string& path);

// An OCI layout in `folder`, which grows image by image.
class OciBuilder {
 public:
  explicit OciBuilder(std::string folder);

  // Adds an image whose layers are `layers`, under `tag` ("" = none); returns the hex digest of its
  // manifest. `config` is the JSON of the image's "config".
  std::string AddImage(const std::vector<std::vector<TarEntry>>& layers,
                       const std::string& tag = "", const std::string& config = "{}",
                       Compression compression = Compression::kGzip,
                       const std::string& architecture = "amd64");
  // Moves all images added so far into a nested index, one manifest per platform.
  void NestIndex();
  // Path of a blob.
  std::string Blob(const std::string& digest) const;
  const std::string& path() const { return folder_; }

 private:
  std::string AddBlob(const std::string& content);
  void WriteIndex();

  std::string folder_;
  std::vector<std::string> manifests_;  // descriptors as JSON
};

}  // namespace boxkeeper::providers::local::testing
