#include "base/http/testing/fake_http_server.h"

#include <openssl/ssl.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <set>
#include <utility>

namespace boxkeeper::base::http {

namespace asio = boost::asio;
namespace wire = boost::beast::http;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using TlsStream = asio::ssl::stream<Socket&>;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

asio::generic::stream_protocol::endpoint Endpoint(const std::string& unix_path) {
  if (!unix_path.empty()) return asio::local::stream_protocol::endpoint(unix_path);
  return asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0);
}

}  // namespace

Answer Ok(const std::string& body) {
  return {.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + body}};
}

struct FakeHttpServer::State : std::enable_shared_from_this<FakeHttpServer::State> {
  State(asio::io_context& c, Handler h, Options o)
      : context(c), handler(std::move(h)), options(std::move(o)), acceptor(c), next_piece(c) {
    const auto endpoint = Endpoint(options.unix_path);
    acceptor.open(endpoint.protocol());
    acceptor.bind(endpoint);
    acceptor.listen();
    next_piece.expires_at(asio::steady_timer::time_point::max());
    if (options.certificate.empty()) return;
    tls.use_certificate_chain(asio::buffer(options.certificate));
    tls.use_private_key(asio::buffer(options.key), asio::ssl::context::pem);
  }

  asio::awaitable<void> Accept() {
    for (;;) {
      Socket socket(context);
      auto [error] = co_await acceptor.async_accept(socket, kTuple);
      if (error) co_return;
      asio::co_spawn(
          context,
          [self = shared_from_this(), socket = std::move(socket)]() mutable {
            return self->Serve(std::move(socket));
          },
          [](std::exception_ptr) {});
    }
  }

  asio::awaitable<void> Serve(Socket socket) {
    const int number = ++connections;
    open.insert(&socket);
    struct Leave {
      ~Leave() { open.erase(socket); }
      std::set<Socket*>& open;
      Socket* socket;
    } leave{open, &socket};
    bool start_tls = options.tls_from_start;
    if (!start_tls) start_tls = co_await Talk(socket, number);
    if (!start_tls) co_return;
    TlsStream stream(socket, tls);
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kTuple);
    if (error) co_return;
    if (const char* name = SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name)) {
      server_name = name;
    }
    co_await Talk(stream, number);
  }

  // True: TLS begins now.
  template <typename Stream>
  asio::awaitable<bool> Talk(Stream& stream, int number) {
    boost::beast::flat_buffer buffer;
    for (;;) {
      wire::request_parser<wire::string_body> parser;
      parser.body_limit(boost::none);
      auto [error, count] = co_await wire::async_read_header(stream, buffer, parser, kTuple);
      if (error) co_return false;
      ReceivedRequest request;
      request.connection = number;
      request.method = std::string(parser.get().method_string());
      request.target = std::string(parser.get().target());
      for (const auto& field : parser.get()) {
        request.head += std::string(field.name_string()) + ": " + std::string(field.value());
        request.head += "\r\n";
      }
      requests.push_back(request);
      const size_t index = requests.size() - 1;
      Answer answer;
      if (!options.body_first) answer = handler(request);
      if (!answer.skip_body && request.method != "CONNECT") {
        auto [body_error, read] = co_await wire::async_read(stream, buffer, parser, kTuple);
        requests[index].body = parser.get().body();
        if (body_error) co_return false;
      }
      if (options.body_first) answer = handler(requests[index]);
      for (size_t i = 0; i < answer.pieces.size(); ++i) {
        while (released < i && !stopped) co_await next_piece.async_wait(kTuple);
        if (stopped) co_return false;
        auto [write_error, written] =
            co_await asio::async_write(stream, asio::buffer(answer.pieces[i]), kTuple);
        if (write_error) co_return false;
      }
      if (answer.start_tls) co_return true;
      if (answer.close) co_return false;
    }
  }

  asio::io_context& context;
  const Handler handler;
  const Options options;
  Acceptor acceptor;
  asio::ssl::context tls{asio::ssl::context::tls_server};
  asio::steady_timer next_piece;
  std::set<Socket*> open;
  std::vector<ReceivedRequest> requests;
  int connections = 0;
  size_t released = 0;  // how many pieces after the first may go, of each answer
  bool stopped = false;
  std::string server_name;
};

FakeHttpServer::FakeHttpServer(asio::io_context& context, Handler handler, Options options)
    : state_(std::make_shared<State>(context, std::move(handler), std::move(options))) {
  asio::co_spawn(context, [state = state_] { return state->Accept(); }, [](std::exception_ptr) {});
}

FakeHttpServer::~FakeHttpServer() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  state_->stopped = true;
  state_->next_piece.cancel();
  CloseConnections();
  if (!state_->options.unix_path.empty()) unlink(state_->options.unix_path.c_str());
}

uint16_t FakeHttpServer::port() const {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(state_->acceptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

std::string FakeHttpServer::url() const {
  if (!state_->options.unix_path.empty()) return "unix:" + state_->options.unix_path;
  if (state_->options.tls_from_start) return "https://localhost:" + std::to_string(port());
  return "http://127.0.0.1:" + std::to_string(port());
}

const std::vector<ReceivedRequest>& FakeHttpServer::requests() const { return state_->requests; }
int FakeHttpServer::connections() const { return state_->connections; }
int FakeHttpServer::open() const { return static_cast<int>(state_->open.size()); }
const std::string& FakeHttpServer::server_name() const { return state_->server_name; }

void FakeHttpServer::Continue() {
  ++state_->released;
  state_->next_piece.cancel();
}

void FakeHttpServer::CloseConnections() {
  for (Socket* socket : state_->open) {
    boost::system::error_code ignored;
    socket->close(ignored);
  }
}

}  // namespace boxkeeper::base::http
