// One call to a provider's JSON API: bounded, checked, with its error classified.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/client.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers {

// JSON from a stranger: kInvalidArgument, with the place, for what is none, is nested deeper than
// `depth_max`, or is longer than `bytes_max`.
absl::StatusOr<boost::json::value> ParseBoundedJson(std::string_view text, size_t bytes_max,
                                                    size_t depth_max = 32);

// "message", "error", "error.message" or "detail" of an error body: the provider's own words; "" if
// it has none.
std::string WordsOf(const boost::json::value& body);

struct ApiRequest {
  std::string method = "GET";
  std::string target = "/";                     // below the base URL, percent-encoded
  std::optional<boost::json::value> body = {};  // sent as application/json
  base::BootTime deadline = base::BootTime::max();
  // Of base::http::Request: whether it may be sent again on a dead connection.
  std::optional<bool> idempotent = {};
  size_t reply_bytes_max = 4 * 1024 * 1024;  // a list of 1 000 rows is below 1 MiB
};

// On the loop's thread.
class ApiClient {
 public:
  // Corrects the class of an error whose body says more than its status does, e.g. 503
  // "no_capacity".
  using Refine =
      std::function<void(int status, const boost::json::value& body, pb::ProviderError& error)>;

  // `clock` outlives it.
  ApiClient(base::Clock& clock, std::unique_ptr<base::http::Client> http, Refine refine);

  // The body of a 2xx answer; null where it has none. Every error is made by MakeError: a status of
  // 400 and above by MeaningOfHttpStatus and `refine`, no answer by ErrorOfTransport; a 2xx that is
  // not JSON (by its content type or its bytes), too long or too deep is PROTOCOL without proof.
  boost::asio::awaitable<absl::StatusOr<boost::json::value>> Call(ApiRequest request);

  // The same for an answer of application/octet-stream, with its headers.
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> CallForBytes(ApiRequest request);

  base::http::Client& http() { return *http_; }

 private:
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Exchange(ApiRequest request);
  absl::Status ErrorOfAnswer(const base::http::Reply& reply) const;

  base::Clock& clock_;
  const std::unique_ptr<base::http::Client> http_;
  const Refine refine_;
};

}  // namespace boxkeeper::providers
