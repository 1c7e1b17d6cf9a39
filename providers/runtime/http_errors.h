// What an HTTP status of a provider's API means: the one table of all remote providers.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/http/message.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers {

// The class of a status of 400 and above, and whether it proves that nothing was created, started
// or destroyed. Everything else that is not the answer an adapter expects is PROTOCOL.
//
//   400 405 406 409 411 413 414 415 422 431   INVALID         proved
//   401 403 407                               AUTH            proved
//   402                                       QUOTA           proved
//   404 410                                   NOT_FOUND       proved
//   423 425                                   TRANSIENT       proved
//   429                                       RATE            proved
//   408 499                                   TRANSIENT       not: the request was on its way
//   507                                       CAPACITY        not
//   501 505                                   PROTOCOL        not
//   other 4xx                                 INVALID         proved
//   other 5xx                                 TRANSIENT       not
//   below 400                                 PROTOCOL        not
//
// A provider whose error body says more (409: ours, adopt it; 429: the quota; 503: no capacity)
// decides by that body first.
struct StatusMeaning {
  pb::ErrorClass error_class;
  bool proves_no_effect;
};
StatusMeaning MeaningOfHttpStatus(int status);

// The error of an answer: the table's class, `retry_after` of its Retry-After header. `words` are
// the provider's own.
pb::ProviderError ErrorOfHttp(int status, const base::http::Headers& headers,
                              const std::string& words, absl::Time now);

// Retry-After: seconds, or an HTTP date, which is then counted from `now`. nullopt for neither; at
// most a day.
std::optional<std::chrono::milliseconds> ParseRetryAfter(const std::string& value, absl::Time now);

// The error of a call that got no answer (base::http::Client's status): TRANSIENT, with proof where
// nothing left; PROTOCOL where an answer came that is none.
absl::Status ErrorOfTransport(const absl::Status& status);

}  // namespace boxkeeper::providers
