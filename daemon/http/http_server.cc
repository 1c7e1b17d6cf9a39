#include "daemon/http/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/wait_list.h"
#include "config/listen_address.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::awaitable;
using asio::ip::tcp;

constexpr uint32_t kHeaderBytesMax = 8 << 10;
constexpr uint64_t kBodyBytesMax = 1 << 10;      // nobody needs one
constexpr std::chrono::seconds kAcceptPause{1};  // after an error such as "too many open files"
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// A page gathered on the loop for a coroutine of another context.
struct Gathered {
  explicit Gathered(base::Clock& clock) : arrived(clock) {}
  std::optional<HttpPage> page;
  base::WaitList arrived;
};

http::response<http::string_body> Response(HttpAnswer answer, unsigned version, bool keep_alive,
                                           bool head) {
  http::response<http::string_body> response(static_cast<http::status>(answer.status), version);
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  if (answer.status == 405) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(keep_alive);
  const size_t length = answer.body.size();
  if (!head) response.body() = std::move(answer.body);
  response.content_length(length);
  return response;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(asio::io_context& loop,
                                                              base::Clock& clock,
                                                              HttpSources sources,
                                                              HttpServerOptions options) {
  std::unique_ptr<HttpServer> server(
      new HttpServer(loop, clock, std::move(sources), std::move(options)));
  if (absl::Status listening = server->Listen(); !listening.ok()) return listening;
  server->connections_.Spawn("http", [self = server.get()] { return self->Accept(); });
  server->thread_ = std::thread([self = server.get()] { self->context_.run(); });
  return server;
}

HttpServer::HttpServer(asio::io_context& loop, base::Clock& clock, HttpSources sources,
                       HttpServerOptions options)
    : loop_(loop),
      clock_(clock),
      sources_(std::make_shared<const HttpSources>(std::move(sources))),
      options_(std::move(options)),
      acceptor_(context_),
      connections_(clock, context_.get_executor()) {}

HttpServer::~HttpServer() { Stop(); }

absl::Status HttpServer::Listen() {
  const auto parsed = config::ParseListenAddress(options_.listen);
  if (!parsed.has_value() || !parsed->unix_path.empty() || !parsed->loopback) {
    return absl::InvalidArgumentError(
        absl::StrCat("http.listen: '", options_.listen, "': expected a loopback HOST:PORT"));
  }
  const std::string host = parsed->host == "localhost" ? "127.0.0.1" : parsed->host;
  const tcp::endpoint endpoint(asio::ip::make_address(host), parsed->port);
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", options_.listen, ": ", error.message()));
  }
  const tcp::endpoint bound = acceptor_.local_endpoint();
  const std::string shown = bound.address().to_string();
  address_ = absl::StrCat(bound.address().is_v6() ? "[" + shown + "]" : shown, ":", bound.port());
  return absl::OkStatus();
}

void HttpServer::Stop() {
  if (!thread_.joinable()) return;
  asio::post(context_, [this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    connections_.Cancel();
  });
  thread_.join();  // the context runs out of work
}

awaitable<void> HttpServer::Accept() {
  while (!connections_.cancelled()) {
    auto [error, accepted] = co_await acceptor_.async_accept(kAwait);
    if (error == asio::error::operation_aborted) co_return;
    if (error) {
      base::LogWarning("http: cannot accept a connection", {{"error", error.message()}});
      const absl::Status slept = co_await clock_.SleepUntil(clock_.Boot() + kAcceptPause);
      if (!slept.ok()) co_return;
      continue;
    }
    // One of the group is this coroutine. Above the bound the connection that has kept us waiting
    // longest goes: clients that never finish a request must not shut out those that ask whether we
    // live.
    if (connections_.size() > options_.connections_max) {
      if (reading_.empty()) continue;
      reading_.begin()->second->cancel();
    }
    auto socket = std::make_shared<tcp::socket>(std::move(accepted));
    connections_.Spawn("http connection", [this, socket] { return Serve(socket); });
  }
}

awaitable<void> HttpServer::Serve(std::shared_ptr<tcp::socket> socket) {
  beast::tcp_stream stream(std::move(*socket));
  beast::flat_buffer buffer(kHeaderBytesMax + kBodyBytesMax);
  bool keep_alive = true;
  while (keep_alive) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(kHeaderBytesMax);
    parser.body_limit(kBodyBytesMax);
    stream.expires_after(options_.idle_timeout);
    const uint64_t turn = next_turn_++;
    reading_.emplace(turn, &stream);
    auto [unread, bytes_read] = co_await http::async_read(stream, buffer, parser, kAwait);
    reading_.erase(turn);
    if (unread) break;  // gone, too slow or no HTTP: nobody to answer
    const http::request<http::string_body> request = parser.release();
    stream.expires_after(options_.request_timeout);
    HttpAnswer answer =
        co_await AnswerTo(std::string(request.method_string()), std::string(request.target()));
    keep_alive = request.keep_alive();
    const bool head = request.method() == http::verb::head;
    auto response = Response(std::move(answer), request.version(), keep_alive, head);
    http::response_serializer<http::string_body> serializer(response);
    serializer.split(head);
    boost::system::error_code unsent;
    if (head) {
      auto [error, bytes] = co_await http::async_write_header(stream, serializer, kAwait);
      unsent = error;
    } else {
      auto [error, bytes] = co_await http::async_write(stream, serializer, kAwait);
      unsent = error;
    }
    if (unsent) break;
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

awaitable<HttpAnswer> HttpServer::AnswerTo(std::string method, std::string target) {
  const GatherPage gather = FindPage(target.substr(0, target.find('?')));
  if (gather == nullptr) {
    co_return HttpError(404, "no such page; there are /metrics, /healthz and /readyz");
  }
  if (method != "GET" && method != "HEAD") co_return HttpError(405, "only GET and HEAD");

  auto gathered = std::make_shared<Gathered>(clock_);
  asio::post(loop_, [gather, gathered, sources = sources_, back = context_.get_executor()] {
    HttpPage page = gather(*sources);
    asio::post(back, [gathered, page = std::move(page)]() mutable {
      gathered->page = std::move(page);
      gathered->arrived.NotifyAll();
    });
  });
  const base::BootTime deadline = clock_.Boot() + options_.loop_timeout;
  while (!gathered->page.has_value()) {
    const absl::Status waited = co_await gathered->arrived.Wait(deadline);
    if (!waited.ok()) co_return HttpError(503, "the event loop does not answer");
  }
  co_return (*gathered->page)();
}

}  // namespace boxkeeper::daemon
