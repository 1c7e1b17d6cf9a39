#include "base/http/connection.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::base::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr uint32_t kTunnelHeaderBytes = 8 * 1024;
constexpr int kTunnelOpened = 200;

absl::Status Describe(const char* what, const error_code& error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", error.message()));
}

// The addresses that may be dialled; an error if there are none.
absl::StatusOr<std::vector<asio::ip::tcp::endpoint>> Allowed(
    const asio::ip::tcp::resolver::results_type& found, const AddressPolicy& policy) {
  std::vector<asio::ip::tcp::endpoint> allowed;
  absl::Status refused = absl::UnavailableError("the host has no address");
  for (const auto& entry : found) {
    absl::Status checked = CheckAddress(entry.endpoint().address(), policy);
    if (checked.ok()) {
      allowed.push_back(entry.endpoint());
    } else {
      refused = std::move(checked);
    }
  }
  if (allowed.empty()) return refused;
  return allowed;
}

bool IsAddress(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

}  // namespace

Connection::Connection(Clock& clock, asio::any_io_executor executor)
    : executor_(executor),
      resolver_(executor),
      stream_(Socket(executor)),
      alarm_(clock.NewAlarm(executor)) {}

Connection::~Connection() { Close(); }

Connection::Socket& Connection::socket() {
  if (auto* tls = std::get_if<std::unique_ptr<TlsStream>>(&stream_)) return (*tls)->next_layer();
  return std::get<Socket>(stream_);
}

void Connection::Close() {
  alarm_->Cancel();
  resolver_.cancel();
  error_code ignored;
  socket().close(ignored);
}

bool Connection::LooksAlive() {
  if (!socket().is_open() || buffer_.size() > 0) return false;
  char byte = 0;
  const ssize_t got = recv(socket().native_handle(), &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Connection::Watch(BootTime deadline) {
  expired_ = false;
  if (deadline == BootTime::max()) return;
  alarm_->Set(deadline, [this] {
    expired_ = true;
    Close();
  });
}

absl::Status Connection::Unwatch(const char* what, error_code error) {
  alarm_->Cancel();
  if (!error) return absl::OkStatus();
  if (expired_) return absl::DeadlineExceededError(absl::StrCat(what, ": took too long"));
  return Describe(what, error);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Connection>>> Connection::Open(
    Clock& clock, ConnectOptions options, BootTime deadline) {
  auto executor = co_await asio::this_coro::executor;
  auto connection = std::make_unique<Connection>(clock, executor);
  const bool https = options.origin.scheme == Scheme::kHttps;
  absl::Status connected;
  if (options.origin.scheme == Scheme::kUnix) {
    connected = co_await connection->ConnectUnix(options.origin.socket_path, deadline);
  } else {
    // What the proxy will dial is its business, but for addresses that are told to it as such.
    if (options.proxy && IsAddress(options.origin.host)) {
      CO_RETURN_IF_ERROR(
          CheckAddress(asio::ip::make_address(options.origin.host), options.addresses));
    }
    const Origin& server = options.proxy ? options.proxy->origin : options.origin;
    connected = co_await connection->ConnectTo(server, options.addresses, deadline);
  }
  if (connected.ok() && https && options.proxy) {
    connected = co_await connection->OpenTunnel(options, deadline);
  }
  if (connected.ok() && https) connected = co_await connection->ShakeHands(options, deadline);
  CO_RETURN_IF_ERROR(connected);
  co_return connection;
}

asio::awaitable<absl::Status> Connection::ConnectUnix(const std::string& path, BootTime deadline) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    co_return absl::InvalidArgumentError("the path of the unix socket is too long");
  }
  const asio::local::stream_protocol::endpoint endpoint(path);
  Watch(deadline);
  auto [error] = co_await socket().async_connect(endpoint, kTuple);
  co_return Unwatch("connect", error);
}

asio::awaitable<absl::Status> Connection::ConnectTo(const Origin& server,
                                                    const AddressPolicy& policy,
                                                    BootTime deadline) {
  Watch(deadline);
  auto [error, found] =
      co_await resolver_.async_resolve(server.host, std::to_string(server.port), kTuple);
  absl::Status resolved = Unwatch("resolve", error);
  CO_RETURN_IF_ERROR(resolved);
  CO_ASSIGN_OR_RETURN(const auto addresses, Allowed(found, policy));
  absl::Status connected;
  for (const asio::ip::tcp::endpoint& address : addresses) {
    stream_.emplace<Socket>(executor_);
    Watch(deadline);
    auto [failure] = co_await socket().async_connect(address, kTuple);
    connected = Unwatch("connect", failure);
    if (connected.ok() || absl::IsDeadlineExceeded(connected)) break;
  }
  if (connected.ok()) {
    // Requests are written whole; waiting for more only costs time.
    const int on = 1;
    setsockopt(socket().native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  co_return connected;
}

asio::awaitable<absl::Status> Connection::OpenTunnel(const ConnectOptions& options,
                                                     BootTime deadline) {
  beast::http::request<beast::http::empty_body> request(beast::http::verb::connect,
                                                        options.origin.HostPort(), 11);
  request.set(beast::http::field::host, options.origin.HostPort());
  if (!options.proxy->authorization.empty()) {
    request.set(beast::http::field::proxy_authorization, options.proxy->authorization);
  }
  Watch(deadline);
  auto [write_error, written] = co_await beast::http::async_write(socket(), request, kTuple);
  absl::Status sent = Unwatch("proxy", write_error);
  CO_RETURN_IF_ERROR(sent);
  beast::http::response_parser<beast::http::empty_body> parser;
  parser.skip(true);
  parser.header_limit(kTunnelHeaderBytes);
  Watch(deadline);
  auto [read_error, got] =
      co_await beast::http::async_read_header(socket(), buffer_, parser, kTuple);
  absl::Status read = Unwatch("proxy", read_error);
  CO_RETURN_IF_ERROR(read);
  const int status = parser.get().result_int();
  if (status != kTunnelOpened || buffer_.size() > 0) {
    Close();
    co_return absl::UnavailableError(absl::StrCat("proxy: answered CONNECT with ", status));
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> Connection::ShakeHands(const ConnectOptions& options,
                                                     BootTime deadline) {
  const std::string& host = options.origin.host;
  auto tls = std::make_unique<TlsStream>(std::move(std::get<Socket>(stream_)), *options.tls);
  tls->set_verify_mode(asio::ssl::verify_peer);
  tls->set_verify_callback(asio::ssl::host_name_verification(host));
  if (!IsAddress(host)) SSL_set_tlsext_host_name(tls->native_handle(), host.c_str());
  TlsStream& stream = *tls;
  stream_ = std::move(tls);
  Watch(deadline);
  auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, kTuple);
  const long verified = SSL_get_verify_result(stream.native_handle());
  absl::Status done = Unwatch("TLS", error);
  if (!done.ok() && verified != X509_V_OK) {
    co_return absl::PermissionDeniedError(
        absl::StrCat("TLS: certificate of ", host, ": ", X509_verify_cert_error_string(verified)));
  }
  co_return done;
}

}  // namespace boxkeeper::base::http
