#include "cli/human.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/duration_text.h"

namespace boxkeeper::cli {
namespace {

std::string TwoUnits(int64_t large, const char* large_unit, int64_t small, const char* small_unit) {
  std::string text = absl::StrCat(large, large_unit);
  if (small != 0) absl::StrAppend(&text, small, small_unit);
  return text;
}

}  // namespace

absl::StatusOr<std::string> ParseMoment(std::string_view text, absl::Time now) {
  absl::Time time;
  std::string error;
  if (auto duration = base::DurationFromText(text); duration.ok()) {
    time = now + *duration;
  } else if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text),
                     "' is neither a moment like 2026-01-02T15:04:05Z nor a duration like 10m"));
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

void ToProto(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

std::string HumanDuration(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return "-" + HumanDuration(-duration);
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  const int64_t s = ms / 1000;
  if (s == 0) return absl::StrCat(ms, "ms");
  if (s < 10 && ms % 1000 != 0) return absl::StrFormat("%d.%ds", s, ms % 1000 / 100);
  if (s < 60) return absl::StrCat(s, "s");
  if (s < 3600) return TwoUnits(s / 60, "m", s % 60, "s");
  if (s < 86'400) return TwoUnits(s / 3600, "h", s % 3600 / 60, "m");
  return TwoUnits(s / 86'400, "d", s % 86'400 / 3600, "h");
}

std::string HumanAge(absl::Duration age) {
  const int64_t s = absl::ToInt64Seconds(age);
  if (s < 1) return "now";
  if (s < 120) return absl::StrCat(s, "s");
  if (s < 7200) return absl::StrCat(s / 60, "m");
  if (s < 2 * 86'400) return absl::StrCat(s / 3600, "h");
  return absl::StrCat(s / 86'400, "d");
}

std::string HumanBytes(int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", value < 10 ? 1 : 0, value, kUnits[unit]);
}

std::string HumanTime(absl::Time time, absl::TimeZone zone) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S %Z", time, zone);
}

}  // namespace boxkeeper::cli
