// Airflow's log reader, as far as its rules decide about our pieces: each object is a stream of
// lines; a line is a record if it is a JSON object with an "event" and a "timestamp"; streams are
// merged by (timestamp in ms, line number in the object); lines without a timestamp take the one
// before them, or sort to the very front; a line equal to its neighbour is dropped, but for those
// at the very front. airflow_golden_test.cc compares it with what Airflow itself showed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boxkeeper::logs {

struct ShownRecord {
  std::string event;
  std::string logger;
  bool has_timestamp = false;
  int64_t time_ms = 0;  // of its timestamp, unix
};

// `objects`: the contents in order of their keys.
std::vector<ShownRecord> ShowInAirflow(const std::vector<std::string>& objects);

}  // namespace boxkeeper::logs
