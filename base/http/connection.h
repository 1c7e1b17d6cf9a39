// One connection to an HTTP server: TCP, TLS or a unix socket, perhaps through a proxy.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/address_policy.h"
#include "base/http/base_url.h"

namespace boxkeeper::base::http {

// An HTTP proxy: requests to http origins go to it whole, for https it makes a tunnel.
struct Proxy {
  Origin origin;                   // kHttp
  std::string authorization = {};  // value of Proxy-Authorization; "" = none
};

struct ConnectOptions {
  Origin origin;
  std::optional<Proxy> proxy;
  AddressPolicy addresses;
  std::shared_ptr<boost::asio::ssl::context> tls;  // needed for kHttps
};

// On the loop's thread; one operation at a time. Each operation ends at its deadline at the latest,
// with kDeadlineExceeded and the connection closed. Every other failure is kUnavailable, of a
// certificate that is not accepted kPermissionDenied, and the connection is good for reading at
// most.
class Connection {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using TlsStream = boost::asio::ssl::stream<Socket>;

  // Resolves the host, refuses what AddressPolicy forbids, connects to the first address that
  // answers, opens the tunnel, shakes hands. `clock` outlives the connection.
  static boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Connection>>> Open(
      Clock& clock, ConnectOptions options, BootTime deadline);

  Connection(Clock& clock, boost::asio::any_io_executor executor);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs `operation(stream)`, which is given the stream and returns an awaitable of its error code.
  template <typename Operation>
  boost::asio::awaitable<absl::Status> Run(const char* what, BootTime deadline,
                                           Operation operation);

  // Nothing has come and nobody has hung up: it can carry another request.
  bool LooksAlive();
  void Close();

  boost::beast::flat_buffer& buffer() { return buffer_; }

 private:
  boost::asio::awaitable<absl::Status> ConnectTo(const Origin& server, const AddressPolicy& policy,
                                                 BootTime deadline);
  boost::asio::awaitable<absl::Status> ConnectUnix(const std::string& path, BootTime deadline);
  boost::asio::awaitable<absl::Status> OpenTunnel(const ConnectOptions& options, BootTime deadline);
  boost::asio::awaitable<absl::Status> ShakeHands(const ConnectOptions& options, BootTime deadline);

  void Watch(BootTime deadline);
  absl::Status Unwatch(const char* what, boost::system::error_code error);
  Socket& socket();

  boost::asio::any_io_executor executor_;
  boost::asio::ip::tcp::resolver resolver_;
  std::variant<Socket, std::unique_ptr<TlsStream>> stream_;
  boost::beast::flat_buffer buffer_;
  std::unique_ptr<Alarm> alarm_;
  bool expired_ = false;
};

template <typename Operation>
boost::asio::awaitable<absl::Status> Connection::Run(const char* what, BootTime deadline,
                                                     Operation operation) {
  Watch(deadline);
  boost::system::error_code error;
  if (auto* tls = std::get_if<std::unique_ptr<TlsStream>>(&stream_)) {
    error = co_await operation(**tls);
  } else {
    error = co_await operation(std::get<Socket>(stream_));
  }
  co_return Unwatch(what, error);
}

}  // namespace boxkeeper::base::http
