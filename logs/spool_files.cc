#include "logs/spool_files.h"

namespace boxkeeper::logs {

std::string_view StreamName(Stream stream) {
  return stream == Stream::kStdout ? "stdout" : "stderr";
}

std::optional<Stream> ParseStream(std::string_view name) {
  if (name == "stdout") return Stream::kStdout;
  if (name == "stderr") return Stream::kStderr;
  return std::nullopt;
}

std::string_view LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kPlain:
      return "plain";
    case Layout::kAirflow:
      return "airflow";
    case Layout::kMetaflow:
      return "metaflow";
  }
  return "";
}

std::optional<Layout> ParseLayout(std::string_view name) {
  if (name == "plain") return Layout::kPlain;
  if (name == "airflow") return Layout::kAirflow;
  if (name == "metaflow") return Layout::kMetaflow;
  return std::nullopt;
}

std::string SpoolFiles::path(Stream stream) const {
  return directory_ + "/" + std::string(StreamName(stream));
}

}  // namespace boxkeeper::logs
