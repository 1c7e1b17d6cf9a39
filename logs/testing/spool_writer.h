// Writes a spool as a supervisor does, on any FileSystem.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

class SpoolWriter {
 public:
  // Makes `directory`.
  SpoolWriter(base::FileSystem& files, const std::string& directory);

  const SpoolFiles& spool() const { return spool_; }
  uint64_t size(Stream stream) const;

  // One read of the supervisor: the bytes, then their index record.
  void Write(Stream stream, std::string_view bytes, int64_t arrival_ms);
  // The bytes alone, as after a crash between the two.
  void WriteWithoutIndex(Stream stream, std::string_view bytes);
  // Announces the hole, then makes it.
  void Drop(Stream stream, uint64_t from, uint64_t to);

 private:
  void AppendTo(const std::string& path, std::string_view bytes);

  base::FileSystem& files_;
  SpoolFiles spool_;
  uint64_t sizes_[2] = {0, 0};
};

}  // namespace boxkeeper::logs
