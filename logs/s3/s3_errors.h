// What S3 and its likes say when they refuse.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/http/message.h"
#include "logs/remote/errors.h"

namespace boxkeeper::logs::s3 {

// Of a reply's XML body where it has one (also of one with status 200 whose root is Error).
remote::ErrorAnswer ParseError(const base::http::Reply& reply);

// What else an error's message names.
struct ErrorContext {
  std::string what;      // "s3: PUT s3://bucket/key"
  bool is_head = false;  // its answers have no body
  std::string bucket;
  std::string region;       // that was signed for
  std::string credentials;  // where they came from
};

// The status of an answer that is none of success, with what to fix. kNotFound only where the
// storage says that an object or an upload is not there: neither a bucket, nor a user, nor the page
// of a proxy is an object.
absl::Status ErrorOf(const base::http::Reply& reply, const remote::ErrorAnswer& answer,
                     const ErrorContext& context);

// The credentials are too old, or no longer known: new ones may be at hand.
bool IsAboutCredentials(const remote::ErrorAnswer& answer);
// The request's time is too far from the server's.
bool IsAboutTime(const remote::ErrorAnswer& answer);

}  // namespace boxkeeper::logs::s3
