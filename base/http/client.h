// The HTTP client of everything that talks to a remote API: one object per server.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/address_policy.h"
#include "base/http/base_url.h"
#include "base/http/connection.h"
#include "base/http/message.h"

namespace boxkeeper::base::http {

struct ClientOptions {
  BaseUrl base;
  std::optional<Proxy> proxy;
  AddressPolicy addresses;
  Timeouts timeouts;
  // Sent with each request that does not have them itself.
  Headers headers;
  // Certificates that servers' must be signed by; "" = the system's.
  std::string ca_file;
  size_t connections_max = 16;
  // More requests than that waiting for a connection are refused.
  size_t waiting_max = 4096;
  // An unused connection is closed after this: below what servers and balancers allow (60 s and
  // up).
  std::chrono::milliseconds keep_idle{30'000};
  size_t header_bytes_max = 64 * 1024;
};

// On the loop's thread. Only the server of `base` is ever dialled: a request says a path, never a
// host. HTTP/1.1, connections are kept alive; certificates and host names are verified, TLS 1.2 or
// newer. Bodies are not decompressed, and nothing asks for compression.
//
// Errors: kDeadlineExceeded (which part took too long), kUnavailable (resolve, connect, cut),
// kPermissionDenied (certificate, forbidden address, redirect to another server),
// kResourceExhausted (too many wait; a reply above its bound), kInvalidArgument (a request that is
// none). Those for which IsCertainlyNotSent holds had no effect; of all others nobody knows. A
// status of 400 or above is no error here. What is idempotent is sent a second time if a kept
// connection turned out to be dead; nothing else is ever sent twice.
class Client {
 public:
  struct Deps {
    Clock& clock;
    boost::asio::any_io_executor loop;
  };

  // kInvalidArgument: the CA file cannot be read.
  static absl::StatusOr<std::unique_ptr<Client>> Create(Deps deps, ClientOptions options);
  ~Client();

  // The response as soon as its header is there. `request.target` is appended to the base path. The
  // body may outlive the client.
  boost::asio::awaitable<absl::StatusOr<Response>> Send(Request request);

  // The whole response; kResourceExhausted if its body is longer than `body_bytes_max`.
  boost::asio::awaitable<absl::StatusOr<Reply>> Fetch(Request request, size_t body_bytes_max);

  // Connections at work, and kept.
  size_t busy() const;
  size_t idle() const;

 private:
  struct State;
  explicit Client(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base::http
