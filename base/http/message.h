// Requests and responses of the HTTP client.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"

namespace boxkeeper::base::http {

// Header fields in order; names are compared without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void Add(std::string name, std::string value);
  // Replaces all of that name.
  void Set(const std::string& name, std::string value);
  // The first of that name; null if there is none.
  const std::string* Find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// A body that is produced while it is sent.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // Its length, if known before: it is then announced, else the body is sent in chunks.
  virtual std::optional<uint64_t> size() const = 0;
  // The next bytes; empty at the end. On the loop. An error ends the request.
  virtual boost::asio::awaitable<absl::StatusOr<std::string>> Next() = 0;
};

// How long each part may take. Whatever is left of Request::deadline is the upper bound of each.
struct Timeouts {
  std::chrono::milliseconds connect{10'000};  // resolve, connect, proxy, TLS
  // From the last byte of the request to the last of the response's header.
  std::chrono::milliseconds headers{30'000};
  // Between two pieces of a body, sent or received.
  std::chrono::milliseconds idle{30'000};
};

struct Request {
  std::string method = "GET";
  // Path and query below the server's base path, percent-encoded: "/v1/items?limit=3".
  std::string target = "/";
  Headers headers;
  std::string body = {};
  std::unique_ptr<BodySource> stream = nullptr;  // instead of `body`
  // Of the whole exchange, with redirects and the reading of the body.
  BootTime deadline = BootTime::max();
  // May be sent again where nobody can tell whether it arrived. Unset: GET, HEAD, OPTIONS, PUT and
  // DELETE may.
  std::optional<bool> idempotent = {};
  // Redirects on the same server are followed, at most 5.
  bool follow_redirects = true;
};

// The rest of a response. Dropping it early closes the connection.
class ResponseBody {
 public:
  virtual ~ResponseBody() = default;
  // The next bytes as soon as there are some, at most 64 KiB; empty at the end. kUnavailable when
  // the body is cut, kDeadlineExceeded when idle for too long.
  virtual boost::asio::awaitable<absl::StatusOr<std::string>> Read() = 0;
};

struct Response {
  int status = 0;
  Headers headers;
  std::unique_ptr<ResponseBody> body;
};

// A response that was read to its end.
struct Reply {
  int status = 0;
  Headers headers;
  std::string body;
};

// Marks an error of which it is certain that the server saw nothing of the request: it may be sent
// again whatever it does.
absl::Status MarkNotSent(absl::Status status);
bool IsCertainlyNotSent(const absl::Status& status);

}  // namespace boxkeeper::base::http
