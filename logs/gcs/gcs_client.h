// Requests to Google Cloud Storage's JSON API: authorized, tried again, with their errors
// understood.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/client.h"
#include "base/rng.h"
#include "logs/gcs/token_source.h"
#include "logs/remote/errors.h"
#include "logs/remote/retry.h"

namespace boxkeeper::logs::gcs {

struct GcsRequest {
  std::string method = "GET";
  std::string target = {};  // with the query, below the endpoint
  base::http::Headers headers = {};
  std::string body = {};
  size_t reply_bytes_max = 256 * 1024;
  // Judges an answer that is no error; what it refuses as kUnavailable is asked for again.
  std::function<absl::Status(const base::http::Reply&)> check = {};
  // False: one try only; the caller finds out what became of it.
  bool retry = true;
  // Answers of this status are no errors (308, 412, ...).
  int expected = 0;
};

// On the loop's thread.
class GcsClient {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    std::unique_ptr<base::http::Client> http;
    std::unique_ptr<TokenSource> tokens;
    remote::RetryOptions retry = {};
  };
  GcsClient(Deps deps, base::http::BaseUrl endpoint, std::string bucket);

  // The answer below 300 (or `expected`). `what` stands in front of an error. Errors as
  // remote::CodeOfHttp says, but for: kInvalidArgument where the bucket is missing,
  // kUnauthenticated and kPermissionDenied with what to fix. Requests are ones that can be
  // repeated.
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Call(std::string what,
                                                                 GcsRequest request);

  // The target, for Call, that a Location header names; only on the endpoint's own server.
  absl::StatusOr<std::string> TargetOf(const std::string& location) const;

  // "/storage/v1/b/BUCKET/o" and "/upload/storage/v1/b/BUCKET/o".
  const std::string& objects() const { return objects_; }
  std::string upload() const { return "/upload" + objects_; }
  // "/storage/v1/b/BUCKET/o/NAME".
  std::string ObjectTarget(const std::string& name) const;

  base::Clock& clock() { return deps_.clock; }
  base::Rng& rng() { return deps_.rng; }
  const remote::RetryOptions& retry() const { return deps_.retry; }

 private:
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Once(const std::string& what,
                                                                 const GcsRequest& request);
  absl::Status ErrorOf(const std::string& what, const base::http::Reply& reply) const;

  const Deps deps_;
  const base::http::BaseUrl endpoint_;
  const std::string bucket_;
  const std::string objects_;
};

}  // namespace boxkeeper::logs::gcs
