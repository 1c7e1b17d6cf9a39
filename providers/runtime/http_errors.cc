#include "providers/runtime/http_errors.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::providers {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryAfterMax = std::chrono::hours(24);

}  // namespace

StatusMeaning MeaningOfHttpStatus(int status) {
  switch (status) {
    case 401:
    case 403:
    case 407:
      return {pb::AUTH, true};
    case 402:
      return {pb::QUOTA, true};
    case 404:
    case 410:
      return {pb::NOT_FOUND, true};
    case 408:  // a proxy's, or a server that gave up on us: it may have begun
    case 499:
      return {pb::TRANSIENT, false};
    case 423:
    case 425:
      return {pb::TRANSIENT, true};
    case 429:
      return {pb::RATE, true};
    case 501:
    case 505:
      return {pb::PROTOCOL, false};
    case 507:
      return {pb::CAPACITY, false};
    default:
      break;
  }
  if (status >= 500 && status < 600) return {pb::TRANSIENT, false};
  if (status >= 400 && status < 500) return {pb::INVALID, true};
  return {pb::PROTOCOL, false};
}

std::optional<milliseconds> ParseRetryAfter(const std::string& value, absl::Time now) {
  int64_t seconds = 0;
  if (absl::SimpleAtoi(value, &seconds)) {
    if (seconds < 0) return std::nullopt;
    seconds = std::min<int64_t>(seconds, kRetryAfterMax / std::chrono::seconds(1));
    return std::chrono::seconds(seconds);
  }
  absl::Time at;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", value, &at, &error)) return std::nullopt;
  const int64_t wait = absl::ToInt64Milliseconds(at - now);
  return std::clamp(milliseconds(wait), milliseconds(0), kRetryAfterMax);
}

pb::ProviderError ErrorOfHttp(int status, const base::http::Headers& headers,
                              const std::string& words, absl::Time now) {
  const StatusMeaning meaning = MeaningOfHttpStatus(status);
  pb::ProviderError error = MakeProviderError(
      meaning.error_class, absl::StrCat("HTTP ", status, words.empty() ? "" : ": ", words),
      meaning.proves_no_effect);
  const std::string* header = headers.Find("Retry-After");
  if (header == nullptr) return error;
  if (const auto wait = ParseRetryAfter(*header, now)) {
    error.mutable_retry_after()->set_seconds(wait->count() / 1000);
    error.mutable_retry_after()->set_nanos(static_cast<int32_t>(wait->count() % 1000) * 1'000'000);
  }
  return error;
}

absl::Status ErrorOfTransport(const absl::Status& status) {
  const bool unsent = base::http::IsCertainlyNotSent(status);
  pb::ErrorClass error_class = pb::TRANSIENT;
  if (absl::IsInvalidArgument(status)) error_class = pb::INVALID;
  // An answer above its bound, or one that leads to another server.
  if (!unsent && (absl::IsResourceExhausted(status) || absl::IsPermissionDenied(status))) {
    error_class = pb::PROTOCOL;
  }
  return MakeError(MakeProviderError(error_class, std::string(status.message()), unsent));
}

}  // namespace boxkeeper::providers
