// How log.h's lines look. Internal to logging.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"

namespace boxkeeper::base {

// `message key=value key="value with spaces"`. Control characters, also newlines, are escaped: a
// line is a line. `suppressed` is shown unless 0.
std::string FormatLogText(std::string_view message, LogFields fields, uint64_t suppressed);
// `"message":"...","key":value`, without braces. Invalid UTF-8 becomes U+FFFD.
std::string FormatLogJson(std::string_view message, LogFields fields, uint64_t suppressed);

}  // namespace boxkeeper::base
