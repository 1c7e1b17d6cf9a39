// What was collected of a task's outputs, beside its spooled output (base/core/spool_format.h). The
// supervisor of a local sandbox writes it, artifacts/ reads it.
//
//   <outputs>.data   the files' bytes, one file after the other
//   <outputs>        the manifest: synced, after the data is, and renamed into place. So where it
//                    stands, all that it tells of is on the disk, and it never changes. Absent or
//                    empty: nothing was collected.
//
// Manifest: magic "BKOUTS1\n", payload length u64, crc32c u32 of the payload, zero u32, payload:
// files u32, then per file {offset u64, size u64, modified_unix_ns u64, mode u32, sha256 [32],
// path length u16, path}; skipped u64; notes u32, then per note {length u16, text}.
// All integers are little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace boxkeeper::base {

struct CollectedFile {
  // As the task's user would say it: relative to the working directory, or absolute. UTF-8 without
  // control characters, no empty, "." or ".." components; unique.
  std::string path;
  uint64_t offset = 0;  // in the data file
  uint64_t size = 0;
  uint64_t modified_unix_ns = 0;
  uint32_t mode = 0;   // permission bits
  std::string sha256;  // 32 bytes

  friend bool operator==(const CollectedFile&, const CollectedFile&) = default;
};

struct OutputsManifest {
  std::vector<CollectedFile> files;
  uint64_t skipped = 0;            // what was asked for and not taken
  std::vector<std::string> notes;  // for people: what was skipped, and why; the first ones

  friend bool operator==(const OutputsManifest&, const OutputsManifest&) = default;
};

inline constexpr std::string_view kOutputsDataSuffix = ".data";
inline constexpr size_t kOutputPathBytesMax = 4096;
inline constexpr size_t kOutputNotesMax = 20;
inline constexpr size_t kOutputNoteBytesMax = 512;

std::string EncodeOutputsManifest(const OutputsManifest& manifest);
// Nothing when `bytes` is damaged.
std::optional<OutputsManifest> ParseOutputsManifest(std::string_view bytes);

inline constexpr size_t kOutputPatternsMax = 100;  // of one task
inline constexpr size_t kOutputPatternBytesMax = 1024;
inline constexpr size_t kOutputDepthMax = 32;  // of directories, in patterns and below them

// What is wrong with a pattern of a task's outputs, in words; "" = nothing. A path or a glob: `*`,
// `?` and `[...]` match within a component (not a leading dot), `**` any number of directories. A
// directory stands for all that is in it.
std::string CheckOutputPattern(std::string_view pattern);
// Its components, without empty ones and ".".
std::vector<std::string> SplitOutputPattern(std::string_view pattern);

// Whether a path may stand in a manifest.
bool IsOutputPath(std::string_view path);
// `text` as it may stand in a manifest's notes: what is not printable UTF-8 becomes '?'.
std::string OutputNote(std::string_view text);

}  // namespace boxkeeper::base
