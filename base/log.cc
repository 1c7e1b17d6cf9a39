#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>

#include "base/log_format.h"

namespace boxkeeper::base {
namespace {

constexpr size_t kQueueLines = 8192;
constexpr int kRepeatsPerWindow = 10;
constexpr auto kWindow = std::chrono::seconds(10);
constexpr size_t kMessagesMax =
    1024;  // distinct messages; they are literals, so this is never reached

struct Repeats {
  std::chrono::steady_clock::time_point window_start;
  int passed = 0;
  uint64_t suppressed = 0;
};

// Where lines go. Replaced as a whole; writers take a copy of the pointer, so a line in flight
// keeps its output alive.
struct Output {
  LogFormat format = LogFormat::kText;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::function<void(LogLevel, std::string_view)> capture;
};

struct Global {
  std::atomic<LogLevel> level{LogLevel::kWarning};
  std::mutex mutex;
  std::shared_ptr<Output> output;
  std::map<std::string, Repeats, std::less<>> repeats;
};

Global& TheGlobal() {
  static auto* global = new Global;  // Never destroyed: threads may log while the process exits.
  return *global;
}

constexpr char kTextPattern[] = "%Y-%m-%dT%H:%M:%S.%eZ %^%L%$ %v";
constexpr char kJsonPattern[] = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";

void SetPattern(spdlog::logger& logger, LogFormat format) {
  logger.set_pattern(format == LogFormat::kJson ? kJsonPattern : kTextPattern,
                     spdlog::pattern_time_type::utc);
  logger.set_level(spdlog::level::trace);  // Filtered here, not there.
}

std::shared_ptr<Output> SynchronousStderr() {
  auto output = std::make_shared<Output>();
  output->logger = std::make_shared<spdlog::logger>(
      "boxkeeper", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  SetPattern(*output->logger, output->format);
  return output;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

// Whether the line passes, and how many before it did not. With the mutex held.
bool Passes(Global& global, LogLevel level, std::string_view message, uint64_t& suppressed) {
  if (level < LogLevel::kWarning) return true;
  auto now = std::chrono::steady_clock::now();
  auto found = global.repeats.find(message);
  if (found == global.repeats.end()) {
    if (global.repeats.size() >= kMessagesMax) global.repeats.clear();
    found = global.repeats.emplace(message, Repeats{now, 0, 0}).first;
  }
  Repeats& repeats = found->second;
  if (now - repeats.window_start >= kWindow) {
    repeats.window_start = now;
    repeats.passed = 0;
  }
  if (repeats.passed >= kRepeatsPerWindow) {
    ++repeats.suppressed;
    return false;
  }
  ++repeats.passed;
  suppressed = std::exchange(repeats.suppressed, 0);
  return true;
}

std::shared_ptr<Output> Replace(std::shared_ptr<Output> output) {
  Global& global = TheGlobal();
  std::lock_guard lock(global.mutex);
  global.repeats.clear();
  return std::exchange(global.output, std::move(output));
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  if (text == "off") return LogLevel::kOff;
  return std::nullopt;
}

std::optional<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "auto") return LogFormat::kAuto;
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return std::nullopt;
}

bool LogEnabled(LogLevel level) {
  return level >= TheGlobal().level.load(std::memory_order_relaxed);
}

void SetLogLevel(LogLevel level) { TheGlobal().level = level; }

LogLevel GetLogLevel() { return TheGlobal().level; }

uint64_t LogLinesDropped() {
  Global& global = TheGlobal();
  std::lock_guard lock(global.mutex);
  return global.output && global.output->pool ? global.output->pool->overrun_counter() : 0;
}

void Log(LogLevel level, std::string_view message, LogFields fields) {
  if (!LogEnabled(level) || level == LogLevel::kOff) return;
  Global& global = TheGlobal();
  uint64_t suppressed = 0;
  std::shared_ptr<Output> output;
  {
    std::lock_guard lock(global.mutex);
    if (!global.output) global.output = SynchronousStderr();
    if (!Passes(global, level, message, suppressed)) return;
    output = global.output;
  }
  std::string line = output->format == LogFormat::kJson
                         ? FormatLogJson(message, fields, suppressed)
                         : FormatLogText(message, fields, suppressed);
  if (output->capture) {
    output->capture(level, line);
  } else {
    output->logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  }
}

void LogIfError(const absl::Status& status, std::string_view why_it_is_fine) {
  if (!status.ok()) LogWarning("ignored an error", {{"error", status}, {"why", why_it_is_fine}});
}

Logging::Logging(const LogOptions& options) {
  auto output = std::make_shared<Output>();
  output->format = options.format;
  if (options.format == LogFormat::kAuto) {
    bool terminal = options.file.empty() && isatty(STDERR_FILENO) == 1;
    output->format = terminal ? LogFormat::kText : LogFormat::kJson;
  }
  spdlog::sink_ptr sink;
  if (options.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
  }
  output->pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto logger = std::make_shared<spdlog::async_logger>(
      "boxkeeper", std::move(sink), output->pool, spdlog::async_overflow_policy::overrun_oldest);
  logger->flush_on(
      spdlog::level::trace);  // By the writing thread: a crash loses only what is queued.
  SetPattern(*logger, output->format);
  output->logger = std::move(logger);
  SetLogLevel(options.level);
  Replace(std::move(output));
}

Logging::~Logging() {
  std::shared_ptr<Output> output = Replace(nullptr);
  // The pool's destruction writes what is queued. The logger holds the pool only weakly.
  output->logger.reset();
  output->pool.reset();
  SetLogLevel(LogLevel::kWarning);
}

ScopedLogCapture::ScopedLogCapture(LogLevel level, LogFormat format,
                                   std::function<void(LogLevel, std::string_view)> sink) {
  auto output = std::make_shared<Output>();
  output->format = format;
  output->capture = std::move(sink);
  SetLogLevel(level);
  Replace(std::move(output));
}

ScopedLogCapture::~ScopedLogCapture() {
  Replace(nullptr);
  SetLogLevel(LogLevel::kWarning);
}

}  // namespace boxkeeper::base
