#include "base/duration_text.h"

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"

namespace boxkeeper::base {
namespace {

struct Unit {
  std::string_view name;
  int64_t micros;
};
// Descending. "ms" is looked for before "m" by taking all letters at once.
constexpr Unit kUnits[] = {
    {"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000}, {"ms", 1'000}, {"us", 1}};
constexpr int64_t kMicrosMax = int64_t{100} * 366 * 24 * kUnits[0].micros;

absl::Status Invalid(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", std::string(text),
      "' is not a duration: write digits and h, m, s or ms, such as 500ms 5s 2m 1h30m"));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return c >= 'a' && c <= 'z'; }

// Takes digits and an optional fraction off the front. The value in units of `micros`, exact;
// nullopt if malformed or too large. The unit follows the number, so both are looked at together.
struct Number {
  int64_t whole = 0;
  int64_t fraction = 0;        // of fraction_scale
  int64_t fraction_scale = 1;  // a power of ten, at most 10^9
};

std::optional<Number> TakeNumber(std::string_view& text) {
  Number number;
  if (text.empty() || !IsDigit(text.front())) return std::nullopt;
  while (!text.empty() && IsDigit(text.front())) {
    number.whole = number.whole * 10 + (text.front() - '0');
    if (number.whole > kMicrosMax) return std::nullopt;
    text.remove_prefix(1);
  }
  if (text.empty() || text.front() != '.') return number;
  text.remove_prefix(1);
  if (text.empty() || !IsDigit(text.front())) return std::nullopt;
  while (!text.empty() && IsDigit(text.front())) {
    if (number.fraction_scale < 1'000'000'000) {
      number.fraction = number.fraction * 10 + (text.front() - '0');
      number.fraction_scale *= 10;
    }
    text.remove_prefix(1);
  }
  return number;
}

std::string_view TakeLetters(std::string_view& text) {
  size_t n = 0;
  while (n < text.size() && IsLetter(text[n])) ++n;
  std::string_view letters = text.substr(0, n);
  text.remove_prefix(n);
  return letters;
}

}  // namespace

absl::StatusOr<absl::Duration> DurationFromText(std::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  std::string_view rest = text;
  __int128 total = 0;
  size_t next_unit = 0;
  if (rest.empty()) return Invalid(text);
  while (!rest.empty()) {
    std::optional<Number> number = TakeNumber(rest);
    if (!number) return Invalid(text);
    std::string_view name = TakeLetters(rest);
    size_t unit = next_unit;
    while (unit < std::size(kUnits) && kUnits[unit].name != name) ++unit;
    if (unit == std::size(kUnits)) return Invalid(text);
    total += static_cast<__int128>(number->whole) * kUnits[unit].micros;
    total += static_cast<__int128>(number->fraction) * kUnits[unit].micros / number->fraction_scale;
    if (total > kMicrosMax) return Invalid(text);
    next_unit = unit + 1;
  }
  return absl::Microseconds(static_cast<int64_t>(total));
}

std::string DurationToText(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return absl::StrCat("-", DurationToText(-duration));
  int64_t micros = absl::ToInt64Microseconds(duration);
  if (micros == 0) return "0s";
  std::string out;
  for (const Unit& unit : kUnits) {
    if (int64_t count = micros / unit.micros; count > 0) {
      absl::StrAppend(&out, count, std::string(unit.name));
      micros %= unit.micros;
    }
  }
  return out;
}

}  // namespace boxkeeper::base
