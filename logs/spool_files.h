// Where one task's spool lies (base/core/spool_format.h has the layout), and the words that all of
// logs/ uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::logs {

enum class Stream { kStdout, kStderr };

// "stdout" or "stderr".
std::string_view StreamName(Stream stream);
std::optional<Stream> ParseStream(std::string_view name);

enum class Layout { kPlain, kAirflow };

// "plain" or "airflow".
std::string_view LayoutName(Layout layout);
std::optional<Layout> ParseLayout(std::string_view name);

// Absolute paths of one task's files. Absent files read as empty ones.
struct SpoolFiles {
  std::string stdout_path;
  std::string stderr_path;
  std::string index_path;

  const std::string& path(Stream stream) const {
    return stream == Stream::kStdout ? stdout_path : stderr_path;
  }
};

// <spool>/<task id>/{stdout,stderr,index}
SpoolFiles SpoolFilesIn(const std::string& directory);

// Bytes [from, to) of a stream that the per-task limit dropped. Empty: nothing was.
struct Hole {
  uint64_t from = 0;
  uint64_t to = 0;
  bool empty() const { return from >= to; }
  friend bool operator==(const Hole&, const Hole&) = default;
};

}  // namespace boxkeeper::logs
