// Durations as people write them: 500ms 5s 2m 1h, also 1h30m.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace boxkeeper::base {

// One or more <digits><unit> with units h, m, s, ms, us in descending order, each at most once;
// digits may have a decimal fraction ("1.5s"). "0" needs no unit. kInvalidArgument, naming what is
// allowed, for anything else: a bare number, a sign, spaces, more than 100 years.
absl::StatusOr<absl::Duration> DurationFromText(std::string_view text);

// The shortest text that DurationFromText reads back, to the microsecond (rounded down): "1h30m",
// "0s". Negative ones carry a leading '-', for people only.
std::string DurationToText(absl::Duration duration);

}  // namespace boxkeeper::base
