// Structured logging: one event per line, a constant message, values as fields.
//
//   LogInfo("task accepted", {{"task_id", id.ToString()}, {"dur_ms", 5}});
//
// INFO = a transition; WARNING = handled degradation; ERROR = someone must look; DEBUG = polls and
// heartbeats. Never a secret. Thread-safe; never blocks: lines go through a bounded queue to a
// writing thread, and when that queue is full the oldest are dropped and counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "base/check.h"

namespace boxkeeper::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat {
  kAuto,  // text if the output is a terminal, else JSON
  kText,
  kJson,
};

// "debug", "info", "warning", "error", "off"; "auto", "text", "json". nullopt for anything else.
std::optional<LogLevel> ParseLogLevel(std::string_view text);
std::optional<LogFormat> ParseLogFormat(std::string_view text);

// One value of a line. The name is a literal; strings are copied before the call returns.
struct LogField {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  template <typename T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view field, T number) : name(field) {
    if constexpr (std::is_same_v<T, bool>) {
      value = number;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<double>(number);
    } else if constexpr (std::is_unsigned_v<T>) {
      value = static_cast<uint64_t>(number);
    } else {
      value = static_cast<int64_t>(number);
    }
  }
  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  LogField(std::string_view field, const std::string& text)
      : LogField(field, std::string_view(text)) {}
  LogField(std::string_view field, const char* text) : LogField(field, std::string_view(text)) {}
  LogField(std::string_view field, const absl::Status& status)
      : name(field),
        owned(std::make_shared<std::string>(status.ToString())),
        value(std::string_view(*owned)) {}

  std::string_view name;
  std::shared_ptr<std::string> owned;
  Value value;
};
using LogFields = std::initializer_list<LogField>;

// Fields print in this order whatever the call's order: task_id attempt provider sandbox state
// dur_ms code; then the others as given. Empty strings are left out.
void Log(LogLevel level, std::string_view message, LogFields fields = {});

// Cheap: guard what is costly to compute.
bool LogEnabled(LogLevel level);

inline void LogDebug(std::string_view message, LogFields fields = {}) {
  if (LogEnabled(LogLevel::kDebug)) Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(std::string_view message, LogFields fields = {}) {
  if (LogEnabled(LogLevel::kInfo)) Log(LogLevel::kInfo, message, fields);
}
// Of one message at WARNING or ERROR at most 10 lines pass in 10 seconds; the next one that passes
// says how many were not (suppressed=N).
inline void LogWarning(std::string_view message, LogFields fields = {}) {
  if (LogEnabled(LogLevel::kWarning)) Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, LogFields fields = {}) {
  if (LogEnabled(LogLevel::kError)) Log(LogLevel::kError, message, fields);
}

// For an error that changes nothing: says so instead of dropping it.
void LogIfError(const absl::Status& status, std::string_view why_it_is_fine);

void SetLogLevel(LogLevel level);
LogLevel GetLogLevel();
// Lines lost since the start because the writer did not keep up.
uint64_t LogLinesDropped();

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kAuto;
  std::string file;  // "" = stderr
};

// Turns asynchronous logging on; its destruction writes what is queued. One at a time, made by
// main. Without it lines of WARNING and above go to stderr at once (tests, short programs).
class Logging {
 public:
  explicit Logging(const LogOptions& options);
  ~Logging();
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;
};

// Sends each line (without time and level) to `sink` instead, formatted as text or JSON, until
// destroyed. For tests; one at a time.
class ScopedLogCapture {
 public:
  ScopedLogCapture(LogLevel level, LogFormat format,
                   std::function<void(LogLevel, std::string_view)> sink);
  ~ScopedLogCapture();
  ScopedLogCapture(const ScopedLogCapture&) = delete;
  ScopedLogCapture& operator=(const ScopedLogCapture&) = delete;
};

}  // namespace boxkeeper::base
