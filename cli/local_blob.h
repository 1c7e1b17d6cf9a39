// Contents of this machine that are too large for a submission.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include "absl/status/statusor.h"

namespace boxkeeper::cli {

// A content that a task's file names by its sum.
struct LocalBlob {
  std::string path;     // of a file of this machine; empty: `content` is it
  std::string content;  // only where there is no file
  std::string sha256;   // 64 lower-case hexadecimal digits
  int64_t size = 0;
};

// Reads the file once, for its sum.
absl::StatusOr<LocalBlob> BlobOfFile(const std::string& path);
LocalBlob BlobOfContent(std::string content);

// The content of a blob, piece by piece. The blob outlives it.
class BlobSource {
 public:
  explicit BlobSource(const LocalBlob& blob);

  // Up to 1 MiB; empty at the end.
  absl::StatusOr<std::string> Next();

 private:
  const LocalBlob& blob_;
  std::ifstream file_;
  size_t offset_ = 0;
};

}  // namespace boxkeeper::cli
