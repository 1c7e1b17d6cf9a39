#include "logs/testing/airflow_reader.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <tuple>

#include "absl/time/time.h"
#include "base/check.h"

namespace boxkeeper::logs {
namespace {

namespace json = boost::json;

struct Line {
  int64_t sort_ms = 0;  // 0: before the object's first timestamp
  size_t number = 0;
  size_t object = 0;
  bool has_timestamp = false;
  json::object record = {};
};

// Python's str.splitlines, as far as bytes in UTF-8 can show it.
std::vector<std::string> SplitLines(const std::string& text) {
  std::vector<std::string> lines(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool two = text.compare(i, 2, "\xc2\x85") == 0;
    const bool three =
        text.compare(i, 3, "\xe2\x80\xa8") == 0 || text.compare(i, 3, "\xe2\x80\xa9") == 0;
    if ((c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || two || three) {
      lines.emplace_back();
      i += three ? 2 : two ? 1 : 0;
    } else {
      lines.back() += text[i];
    }
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

// Unix milliseconds of a record's timestamp: a date, or a number of seconds.
int64_t MillisOf(const json::value& timestamp) {
  constexpr double kMsPerSecond = 1000;
  if (!timestamp.is_string()) {
    return static_cast<int64_t>(timestamp.to_number<double>() * kMsPerSecond);
  }
  absl::Time time;
  std::string why;
  const std::string text(timestamp.as_string());
  CHECK(absl::ParseTime(absl::RFC3339_full, text, &time, &why), why);
  return absl::ToUnixMillis(time);
}

std::vector<Line> ParseObject(const std::string& content, size_t object) {
  std::vector<Line> lines;
  int64_t timestamp_ms = 0;
  size_t number = 0;
  for (const std::string& text : SplitLines(content)) {
    Line line{.number = number++, .object = object};
    if (text.empty()) continue;
    json::error_code error;
    json::value value = json::parse(text, error);
    const bool is_record = !error && value.is_object() && value.as_object().contains("event") &&
                           value.as_object().contains("timestamp");
    if (is_record) {
      line.record = value.as_object();
      line.has_timestamp = true;
      timestamp_ms = MillisOf(line.record["timestamp"]);
    } else {
      line.record["event"] = text;
    }
    line.sort_ms = timestamp_ms;
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string TextOf(const json::object& record, const char* name) {
  const json::value* value = record.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

}  // namespace

std::vector<ShownRecord> ShowInAirflow(const std::vector<std::string>& objects) {
  std::vector<Line> merged;
  for (size_t i = 0; i < objects.size(); ++i) {
    for (Line& line : ParseObject(objects[i], i)) merged.push_back(std::move(line));
  }
  std::sort(merged.begin(), merged.end(), [](const Line& a, const Line& b) {
    return std::tie(a.sort_ms, a.number, a.object) < std::tie(b.sort_ms, b.number, b.object);
  });
  std::vector<ShownRecord> shown;
  const json::object* last = nullptr;
  for (const Line& line : merged) {
    const bool repeats = last != nullptr && line.sort_ms != 0 && *last == line.record;
    if (!repeats) {
      shown.push_back({TextOf(line.record, "event"), TextOf(line.record, "logger"),
                       line.has_timestamp, line.has_timestamp ? line.sort_ms : 0});
    }
    last = &line.record;
  }
  return shown;
}

}  // namespace boxkeeper::logs
