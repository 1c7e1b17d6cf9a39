// What the answers of cloud storages mean, in the statuses that logs/object_store.h asks for.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/http/message.h"

namespace boxkeeper::logs::remote {

// An answer of 300 and above, as far as its body could be understood.
struct ErrorAnswer {
  int status = 0;
  std::string code = {};     // the storage's own word: "SlowDown"; may be empty
  std::string message = {};  // its sentence; may be empty
  std::string request_id = {};
};

// The status by the HTTP status alone; what a storage's code says more is decided before:
//
//   3xx                        kInvalidArgument: the address is another one
//   400 405 411 413 414 422 …  kInvalidArgument
//   401                        kUnauthenticated
//   403                        kPermissionDenied
//   404 410                    kNotFound
//   412                        kFailedPrecondition
//   416                        kOutOfRange
//   429                        kResourceExhausted
//   408 409 423 425, 5xx       kUnavailable
//   501                        kUnimplemented
absl::StatusCode CodeOfHttp(int status);

// "WHAT: HTTP 503 SlowDown: Please reduce your request rate. (request 4442587FB7D0A2F9)", on one
// line and bounded, whatever the storage says.
absl::Status MakeError(absl::StatusCode code, const std::string& what, const ErrorAnswer& answer);

// The error of an exchange that brought no answer (base::http::Client), with `what` in front.
// Whatever may pass is kUnavailable or kDeadlineExceeded; a certificate that is not accepted and a
// forbidden address stay kPermissionDenied.
absl::Status ErrorOfExchange(const std::string& what, const absl::Status& status);

// How long the storage asked to wait. Kept in the status; RunWithRetries looks for it.
absl::Status WithRetryAfter(absl::Status status, std::optional<base::BootClock::duration> wait);
std::optional<base::BootClock::duration> RetryAfterOf(const absl::Status& status);
// Of the headers Retry-After (seconds, or an HTTP date that is counted from the answer's own Date)
// and x-ms-retry-after-ms; at most an hour.
std::optional<base::BootClock::duration> RetryAfterOf(const base::http::Headers& headers);

// Marks an error that the next try will not have, because what caused it was mended (new
// credentials, the clock's offset learned): tried again at once whatever its code.
absl::Status MarkMended(absl::Status status);
bool IsMended(const absl::Status& status);

// "Sat, 21 Nov 2026 12:00:00 GMT" (Date, Last-Modified).
std::optional<absl::Time> ParseHttpDate(const std::string& text);

}  // namespace boxkeeper::logs::remote
