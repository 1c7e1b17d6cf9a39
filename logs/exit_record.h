// The exit record: the task's end as the core tells it, completed by what the store has of its log.
#pragma once

#include <string>
#include <string_view>

#include "logs/tracked_log.h"

namespace boxkeeper::logs {

// What is told of a log whose every byte is stored. `can_append`: of the store.
//
//   "stored": {"layout": "plain", "path": "a/b",
//              "stdout": {"raw_bytes": 10, "stored_bytes": 10, "pieces": 1, "sha256": "..."}, ...}
//
// `sha256` is of the stored bytes, pieces in order; with the `airflow` layout they and their sum
// stand in "merged", because its pieces hold both streams. Of the raw bytes there is none: it would
// confirm guesses at secret values. Absent: not known (the log was begun by an older version), or
// the stream is not stored. "lost" tells what the spool lost before it could be stored; `raw_bytes`
// are without it.
std::string StoredFacts(const TrackedLog& log, bool can_append);

// `record` (a JSON object) with these facts as its last member. Another text stays as it is.
std::string CompleteExitRecord(std::string record, std::string_view facts);

}  // namespace boxkeeper::logs
