#include "logs/airflow_record.h"

#include <array>
#include <boost/json.hpp>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/utf8.h"
#include "logs/stored_log.h"

namespace boxkeeper::logs {
namespace {

namespace json = boost::json;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kStdoutLogger = "task.stdout";
constexpr std::string_view kStderrLogger = "task.stderr";
constexpr std::string_view kEndLogger = "boxkeeper";
constexpr std::string_view kDropLoggerPrefix = "boxkeeper.";
// What a date can be: the years 1 to 9999.
constexpr int64_t kMinSeconds = -62'135'596'800;
constexpr int64_t kMaxSeconds = 253'402'300'799;

std::optional<json::object> ParseObject(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos || line[first] != '{') return std::nullopt;
  json::error_code error;
  json::value value = json::parse(json::string_view(line.data(), line.size()), error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

std::optional<int64_t> MicrosOf(std::string_view text) {
  // With and without an offset, 'T' or a space between date and time.
  for (const char* format : {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S%Ez",
                             "%Y-%m-%d%ET%H:%M:%E*S", "%Y-%m-%d %H:%M:%E*S"}) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(format, std::string(text), &time, &error)) return absl::ToUnixMicros(time);
  }
  return std::nullopt;
}

std::optional<int64_t> MicrosOf(double number) {
  // Numbers beyond this are milliseconds, as in Airflow's date parser.
  constexpr double kMillisecondsFrom = 2e10;
  if (!std::isfinite(number)) return std::nullopt;
  if (std::abs(number) > kMillisecondsFrom) number /= 1000;
  if (number < kMinSeconds || number > kMaxSeconds) return std::nullopt;
  return static_cast<int64_t>(std::llround(number * 1e6));
}

std::optional<int64_t> MicrosOf(const json::value& value) {
  if (const json::string* text = value.if_string()) {
    return MicrosOf(std::string_view(text->data(), text->size()));
  }
  if (value.is_number()) return MicrosOf(value.to_number<double>());
  return std::nullopt;
}

// How many bytes at `text` need more than copying; 0: none. JSON demands escapes for '"', '\\' and
// control characters, the reader's line breaking for U+0085, U+2028 and U+2029.
size_t LineBreakLength(std::string_view text) {
  if (text.starts_with("\xc2\x85")) return 2;
  if (text.starts_with("\xe2\x80\xa8") || text.starts_with("\xe2\x80\xa9")) return 3;
  return 0;
}

std::string_view LineBreakEscape(std::string_view text) {
  if (text.starts_with("\xc2\x85")) return "\\u0085";
  return text.starts_with("\xe2\x80\xa8") ? "\\u2028" : "\\u2029";
}

constexpr std::array<bool, 256> PlainBytes() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7f; ++c) plain[static_cast<size_t>(c)] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlainByte = PlainBytes();

void AppendEscape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\n':
      out += "\\n";
      return;
    default:
      out += "\\u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
  }
}

void AppendJsonText(std::string& out, std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t run = i;
    while (i < text.size() && kPlainByte[static_cast<unsigned char>(text[i])]) ++i;
    out.append(text.substr(run, i - run));
    if (i == text.size()) return;
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      AppendEscape(out, c);
      ++i;
      continue;
    }
    const std::string_view rest = text.substr(i);
    if (const size_t length = LineBreakLength(rest); length > 0) {
      out += LineBreakEscape(rest);
      i += length;
      continue;
    }
    const size_t length = base::Utf8Length(rest);
    out += length > 0 ? rest.substr(0, length) : kReplacement;
    i += length > 0 ? length : 1;
  }
}

// Many records fall into one second: its text is kept.
void AppendTime(std::string& out, int64_t time_us) {
  constexpr int64_t kMicrosPerSecond = 1'000'000;
  thread_local int64_t cached_second = -1;
  thread_local std::string cached_text;
  int64_t second = time_us / kMicrosPerSecond;
  if (time_us % kMicrosPerSecond < 0) --second;
  if (second != cached_second) {
    cached_text =
        absl::FormatTime("%Y-%m-%dT%H:%M:%S.", absl::FromUnixSeconds(second), absl::UTCTimeZone());
    cached_second = second;
  }
  char micros[7] = "000000";
  int64_t rest = time_us - second * kMicrosPerSecond;
  for (int i = 5; i >= 0; --i, rest /= 10) micros[i] = static_cast<char>('0' + rest % 10);
  out += cached_text;
  out.append(micros, 6);
  out += 'Z';
}

void AppendHead(std::string& out, int64_t time_us, std::string_view level,
                std::string_view logger) {
  out += "{\"timestamp\":\"";
  AppendTime(out, time_us);
  out += "\",\"level\":\"";
  out += level;
  out += "\",\"logger\":\"";
  out += logger;
  out += "\",\"event\":\"";
}

std::string_view StringField(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr || !value->is_string()) return {};
  const json::string& text = value->as_string();
  return {text.data(), text.size()};
}

}  // namespace

std::optional<int64_t> ExistingRecordTime(std::string_view line) {
  // Most lines are text: do not parse what cannot be a record.
  if (line.find("\"timestamp\"") == std::string_view::npos) return std::nullopt;
  const auto object = ParseObject(line);
  if (!object) return std::nullopt;
  const json::value* event = object->if_contains("event");
  const json::value* timestamp = object->if_contains("timestamp");
  if (event == nullptr || !event->is_string() || timestamp == nullptr) return std::nullopt;
  return MicrosOf(*timestamp);
}

void AppendExistingRecord(std::string& out, std::string_view line) {
  while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  for (size_t i = 0; i < line.size();) {
    const std::string_view rest = line.substr(i);
    if (const size_t length = LineBreakLength(rest); length > 0) {
      out += LineBreakEscape(rest);
      i += length;
    } else {
      // Within a string a raw control character would not have parsed, so this one is between
      // tokens.
      out += line[i] == '\r' ? ' ' : line[i];
      ++i;
    }
  }
  out += '\n';
}

void AppendTextRecord(std::string& out, Stream stream, int64_t time_us, std::string_view text,
                      uint64_t part) {
  const bool is_stdout = stream == Stream::kStdout;
  AppendHead(out, time_us, is_stdout ? "info" : "error", is_stdout ? kStdoutLogger : kStderrLogger);
  AppendJsonText(out, text);
  out += '"';
  if (part > 0) absl::StrAppend(&out, ",\"part\":", part);
  out += "}\n";
}

void AppendDropRecord(std::string& out, Stream stream, int64_t time_us, uint64_t bytes) {
  AppendHead(out, time_us, "warning",
             absl::StrCat(std::string(kDropLoggerPrefix), std::string(StreamName(stream))));
  out += DropText(bytes);
  out += "\"}\n";
}

void AppendEndRecord(std::string& out, int64_t time_us, std::string_view reason,
                     std::string_view text) {
  AppendHead(out, time_us, "error", kEndLogger);
  AppendJsonText(out, text);
  out += "\",\"reason\":\"";
  AppendJsonText(out, reason);
  out += "\"}\n";
}

std::optional<RecordText> ParseRecordText(std::string_view line) {
  const auto object = ParseObject(line);
  if (!object) return std::nullopt;
  RecordText record;
  const std::string_view logger = StringField(*object, "logger");
  if (logger == kEndLogger && !StringField(*object, "reason").empty()) return std::nullopt;
  if (logger == kStdoutLogger || logger == kStderrLogger) {
    record.stream = logger == kStdoutLogger ? Stream::kStdout : Stream::kStderr;
  } else if (logger.starts_with(kDropLoggerPrefix)) {
    record.stream = ParseStream(logger.substr(kDropLoggerPrefix.size()));
    record.dropped = record.stream.has_value();
  }
  record.text = record.stream ? std::string(StringField(*object, "event")) : std::string(line);
  if (const json::value* part = object->if_contains("part"); part != nullptr && part->is_number()) {
    json::error_code error;
    record.part = part->to_number<uint64_t>(error);
    if (error) record.part = 0;
  }
  return record;
}

}  // namespace boxkeeper::logs
