// Where one task's spool lies (base/core/spool_format.h has the layout), and the words that all of
// logs/ uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace boxkeeper::logs {

enum class Stream { kStdout, kStderr };

// "stdout" or "stderr".
std::string_view StreamName(Stream stream);
std::optional<Stream> ParseStream(std::string_view name);

enum class Layout { kPlain, kAirflow, kMetaflow };

// "plain", "airflow" or "metaflow".
std::string_view LayoutName(Layout layout);
std::optional<Layout> ParseLayout(std::string_view name);

// One task's files: <spool>/<task id>/{stdout,stderr,index}. Absent files read as empty ones.
class SpoolFiles {
 public:
  SpoolFiles() = default;
  // `directory`: absolute.
  explicit SpoolFiles(std::string directory) : directory_(std::move(directory)) {}

  std::string stdout_path() const { return path(Stream::kStdout); }
  std::string stderr_path() const { return path(Stream::kStderr); }
  std::string index_path() const { return directory_ + "/index"; }
  std::string path(Stream stream) const;

 private:
  std::string directory_;  // one for each running task: the paths are made when they are used
};

// Bytes [from, to) of a stream that the per-task limit dropped. Empty: nothing was.
struct Hole {
  uint64_t from = 0;
  uint64_t to = 0;
  bool empty() const { return from >= to; }
  friend bool operator==(const Hole&, const Hole&) = default;
};

}  // namespace boxkeeper::logs
