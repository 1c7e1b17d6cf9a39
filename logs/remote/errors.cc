#include "logs/remote/errors.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::logs::remote {
namespace {

constexpr char kRetryAfterUrl[] = "boxkeeper/retry-after-ns";
constexpr char kMendedUrl[] = "boxkeeper/mended";
constexpr int64_t kRetryAfterMaxMs = 3'600'000;
constexpr size_t kWordsMax = 300;

// Answers may come from anything between us and the storage: bounded, printable, one line.
std::string Harmless(const std::string& words) {
  std::string out;
  for (const char c : words.substr(0, kWordsMax)) {
    out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
  }
  return out;
}

base::BootClock::duration Bounded(int64_t milliseconds) {
  return std::chrono::milliseconds(std::clamp<int64_t>(milliseconds, 0, kRetryAfterMaxMs));
}

}  // namespace

absl::StatusCode CodeOfHttp(int status) {
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 410:
      return absl::StatusCode::kNotFound;
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    case 416:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 408:
    case 409:
    case 423:
    case 425:
      return absl::StatusCode::kUnavailable;
    case 501:
      return absl::StatusCode::kUnimplemented;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kInvalidArgument;
  }
}

absl::Status MakeError(absl::StatusCode code, const std::string& what, const ErrorAnswer& answer) {
  std::string text = absl::StrCat(what, ": HTTP ", answer.status);
  if (!answer.code.empty()) absl::StrAppend(&text, " ", Harmless(answer.code));
  if (!answer.message.empty()) absl::StrAppend(&text, ": ", Harmless(answer.message));
  if (!answer.request_id.empty()) {
    absl::StrAppend(&text, " (request ", Harmless(answer.request_id), ")");
  }
  return absl::Status(code, text);
}

absl::Status ErrorOfExchange(const std::string& what, const absl::Status& status) {
  absl::StatusCode code = status.code();
  // A reply above its bound is none of the storage's, or cut by something between.
  if (code == absl::StatusCode::kResourceExhausted && !base::http::IsCertainlyNotSent(status)) {
    code = absl::StatusCode::kUnavailable;
  }
  return absl::Status(code, absl::StrCat(what, ": ", std::string(status.message())));
}

absl::Status WithRetryAfter(absl::Status status, std::optional<base::BootClock::duration> wait) {
  if (!status.ok() && wait) {
    const std::string text = absl::StrCat(wait->count());
    status.SetPayload(kRetryAfterUrl, absl::Cord(absl::string_view(text)));
  }
  return status;
}

std::optional<base::BootClock::duration> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterUrl);
  int64_t count = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &count)) return std::nullopt;
  return base::BootClock::duration(count);
}

std::optional<base::BootClock::duration> RetryAfterOf(const base::http::Headers& headers) {
  int64_t number = 0;
  const std::string* exact = headers.Find("x-ms-retry-after-ms");
  if (exact != nullptr && absl::SimpleAtoi(*exact, &number) && number >= 0) return Bounded(number);
  const std::string* text = headers.Find("Retry-After");
  if (text == nullptr) return std::nullopt;
  if (absl::SimpleAtoi(*text, &number)) {
    if (number < 0) return std::nullopt;
    return Bounded(std::min(number, kRetryAfterMaxMs) * 1000);
  }
  const auto at = ParseHttpDate(*text);
  const std::string* date = headers.Find("Date");
  const auto now = date != nullptr ? ParseHttpDate(*date) : std::nullopt;
  if (!at || !now) return std::nullopt;
  return Bounded(absl::ToInt64Milliseconds(*at - *now));
}

absl::Status MarkMended(absl::Status status) {
  if (!status.ok()) status.SetPayload(kMendedUrl, absl::Cord("1"));
  return status;
}

bool IsMended(const absl::Status& status) { return status.GetPayload(kMendedUrl).has_value(); }

std::optional<absl::Time> ParseHttpDate(const std::string& text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &time, &error)) return std::nullopt;
  return time;
}

}  // namespace boxkeeper::logs::remote
