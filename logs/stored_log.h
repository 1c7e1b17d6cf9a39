// What is known about a log in the store: enough to read it there once the spool is gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "boxkeeper/store/v1/records.pb.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

struct StoredLog {
  Layout layout = Layout::kPlain;
  std::string path;  // below the base URL
  int64_t generation = 0;
  bool complete = false;  // the store has every byte that was not dropped
  // plain: what is missing in the stored object, where it has PlainMarker(gap) instead.
  Hole stdout_gap = {};
  Hole stderr_gap = {};

  const Hole& gap(Stream stream) const {
    return stream == Stream::kStdout ? stdout_gap : stderr_gap;
  }
};

// From the journal's records of that generation (ShipJob::resume).
StoredLog MakeStoredLog(Layout layout, std::string path, int64_t generation,
                        const std::vector<store::v1::LogRecord>& records);

// "[boxkeeper: dropped N bytes]"
std::string DropText(uint64_t bytes);
}  // namespace boxkeeper::logs
