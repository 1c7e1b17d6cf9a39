// The small HTTP server for operators and Prometheus.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/task_group.h"
#include "daemon/http/pages.h"

namespace boxkeeper::daemon {

struct HttpServerOptions {
  std::string listen;  // loopback HOST:PORT; port 0 = any free one
  size_t connections_max = 64;
  std::chrono::seconds idle_timeout{60};     // between requests of one connection
  std::chrono::seconds request_timeout{10};  // of one request, and of its answer
  std::chrono::seconds loop_timeout{5};      // a loop that is silent for longer is not healthy
};

// Serves GET and HEAD of the pages on a thread of its own; only gathering runs on the daemon's
// loop. Stop it, or destroy it, before the loop is destroyed.
class HttpServer {
 public:
  // `loop`, `clock` and what `sources` refers to outlive it. kInvalidArgument: not a loopback
  // address. kFailedPrecondition: cannot listen, and why.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(boost::asio::io_context& loop,
                                                           base::Clock& clock, HttpSources sources,
                                                           HttpServerOptions options);
  ~HttpServer();

  // Where it listens: "127.0.0.1:7434".
  const std::string& address() const { return address_; }
  // Cuts all connections; returns when they are gone. Idempotent.
  void Stop();

 private:
  HttpServer(boost::asio::io_context& loop, base::Clock& clock, HttpSources sources,
             HttpServerOptions options);
  absl::Status Listen();
  boost::asio::awaitable<void> Accept();
  boost::asio::awaitable<void> Serve(std::shared_ptr<boost::asio::ip::tcp::socket> socket);
  boost::asio::awaitable<HttpAnswer> AnswerTo(std::string method, std::string target);

  boost::asio::io_context& loop_;
  base::Clock& clock_;
  const std::shared_ptr<const HttpSources> sources_;
  const HttpServerOptions options_;
  std::string address_;
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_;
  // Connections that wait for a request, in order of how long.
  std::map<uint64_t, boost::beast::tcp_stream*> reading_;
  uint64_t next_turn_ = 0;
  base::TaskGroup connections_;
  std::thread thread_;
};

}  // namespace boxkeeper::daemon
