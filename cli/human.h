// Words and units: durations, ages, sizes and times as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace boxkeeper::cli {

// A moment: RFC 3339, or a duration from `now` like "10m". The result is RFC 3339 in UTC.
absl::StatusOr<std::string> ParseMoment(std::string_view text, absl::Time now);

absl::Duration FromProto(const google::protobuf::Duration& duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);
void ToProto(absl::Duration duration, google::protobuf::Duration* out);

// Two units at most: "350ms", "12s", "3m20s", "2h5m", "4d3h".
std::string HumanDuration(absl::Duration duration);
// One unit for tables: "12s", "3m", "2h", "4d"; "now" for the future (clock skew).
std::string HumanAge(absl::Duration age);
// "512 B", "1.5 KiB", "20 MiB".
std::string HumanBytes(int64_t bytes);
// "2026-01-02 15:04:05 UTC" in `zone`.
std::string HumanTime(absl::Time time, absl::TimeZone zone);

}  // namespace boxkeeper::cli
