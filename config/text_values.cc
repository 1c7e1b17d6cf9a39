#include "config/text_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/time/time.h"
#include "base/duration_text.h"

namespace boxkeeper::config {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kUnits[] = {
    {"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
    {"PiB", 0x1p50}, {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},
};

}  // namespace

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const absl::StatusOr<absl::Duration> duration = base::DurationFromText(text);
  if (!duration.ok()) return std::nullopt;
  const auto nanos = absl::ToChronoNanoseconds(*duration);
  return negative ? -nanos : nanos;
}

std::optional<int64_t> ParseSize(std::string_view text) {
  constexpr size_t kDigitsMax = 24;
  constexpr double kMax = 0x1p60;
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view digits = text.substr(0, end);
  if (digits.empty() || digits.size() > kDigitsMax || digits.front() == '.' ||
      digits.back() == '.') {
    return std::nullopt;
  }
  double number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number,
                                      std::chars_format::fixed);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (text.substr(end) != unit.name) continue;
    const double bytes = std::round(number * unit.factor);
    return bytes > kMax ? std::nullopt : std::optional(static_cast<int64_t>(bytes));
  }
  return std::nullopt;
}

google::protobuf::Duration ToProto(std::chrono::nanoseconds duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(duration.count() / 1'000'000'000);
  proto.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
  return proto;
}

std::chrono::nanoseconds FromProto(const google::protobuf::Duration& duration) {
  constexpr int64_t kSecondsMax = 9'200'000'000;
  const int64_t seconds = std::clamp(duration.seconds(), -kSecondsMax, kSecondsMax);
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(duration.nanos());
}

}  // namespace boxkeeper::config
