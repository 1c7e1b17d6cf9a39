#include "logs/stored_log.h"

#include "absl/strings/str_cat.h"

namespace boxkeeper::logs {

StoredLog MakeStoredLog(Layout layout, std::string path, int64_t generation,
                        const std::vector<store::v1::LogRecord>& records) {
  StoredLog stored{.layout = layout, .path = std::move(path), .generation = generation};
  for (const store::v1::LogRecord& record : records) {
    if (record.complete()) stored.complete = true;
    if (!record.dropped()) continue;
    const Hole gap{static_cast<uint64_t>(record.from()), static_cast<uint64_t>(record.to())};
    const auto stream = ParseStream(record.stream());
    if (stream == Stream::kStdout) stored.stdout_gap = gap;
    if (stream == Stream::kStderr) stored.stderr_gap = gap;
  }
  return stored;
}

std::string DropText(uint64_t bytes) {
  return absl::StrCat("[boxkeeper: dropped ", bytes, " bytes]");
}

}  // namespace boxkeeper::logs
