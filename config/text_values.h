// Durations and sizes as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "google/protobuf/duration.pb.h"

namespace boxkeeper::config {

// As base/duration_text.h ("500ms", "5s", "1h30m"); also with a minus sign, so that a range check
// can say what is wrong. nullopt for anything else.
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);
inline constexpr char kDurationForm[] = "a duration such as 500ms, 5s, 2m or 1h";

// "0B", "512KiB", "1.5GiB", "10GB": bytes. nullopt for anything else and beyond 2^60.
std::optional<int64_t> ParseSize(std::string_view text);
inline constexpr char kSizeForm[] = "a size such as 64MiB or 10GiB";

google::protobuf::Duration ToProto(std::chrono::nanoseconds duration);
// Saturates at about +-292 years.
std::chrono::nanoseconds FromProto(const google::protobuf::Duration& duration);

}  // namespace boxkeeper::config
