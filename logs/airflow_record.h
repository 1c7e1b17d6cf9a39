// One record of the `airflow` layout: a JSON object on a line, as Airflow's log reader expects it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "logs/spool_files.h"

namespace boxkeeper::logs {

// If `line` (without its newline) is already a record: its timestamp in unix microseconds. A record
// is a JSON object whose "timestamp" is a date (ISO 8601, or a number of seconds or milliseconds)
// and whose "event" is a string; anything else Airflow would take as text without a date.
std::optional<int64_t> ExistingRecordTime(std::string_view line);

// Appends such a line with a newline. The only changes: U+0085, U+2028 and U+2029 are written as
// escapes and a carriage return between tokens as a space, because the reader would break the line
// there.
void AppendExistingRecord(std::string& out, std::string_view line);

// Appends {"timestamp","level","logger","event"} with a newline for `text` of `stream` (logger
// task.stdout, level info; task.stderr, error). Any bytes: invalid UTF-8 becomes U+FFFD, one for
// each byte; NUL and other control characters become escapes. `part` > 0: the part-th record of a
// line that was split; parts are equal but for it where the text repeats, and the reader drops
// equal neighbours.
void AppendTextRecord(std::string& out, Stream stream, int64_t time_us, std::string_view text,
                      uint64_t part);

// Appends the record that stands where the limit dropped `bytes` (logger boxkeeper.<stream>, level
// warning).
void AppendDropRecord(std::string& out, Stream stream, int64_t time_us, uint64_t bytes);

// Appends the record that says why the task ended (logger boxkeeper, level error, with a member
// `reason`).
void AppendEndRecord(std::string& out, int64_t time_us, std::string_view reason,
                     std::string_view text);

// A record read back: the text that a line had.
struct RecordText {
  std::optional<Stream> stream;  // nullopt: the line was a record already, its stream is not known
  std::string text;              // of an existing record: the line itself
  uint64_t part = 0;
  bool dropped = false;  // AppendDropRecord
};
// nullopt if `line` is no JSON object, or AppendEndRecord's, which is of no stream.
std::optional<RecordText> ParseRecordText(std::string_view line);

}  // namespace boxkeeper::logs
