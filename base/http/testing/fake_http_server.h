// A server whose every byte the test decides.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boxkeeper::base::http {

// What came, as far as it was read.
struct ReceivedRequest {
  std::string method;
  std::string target;
  std::string head;  // the header fields, a line each
  std::string body;
  int connection = 0;  // numbered from 1
};

// What goes back.
struct Answer {
  // As they are, one after another; the next one when the test calls Continue.
  std::vector<std::string> pieces = {};
  bool close = false;      // hang up after the last piece
  bool skip_body = false;  // answer at the header, without reading the request's body
  bool start_tls = false;  // then TLS is spoken on the connection, as by a proxy's tunnel
};

// "HTTP/1.1 200 OK" with that body and its length.
Answer Ok(const std::string& body);

// Runs on the test's io_context. Loopback, port 0, or a unix socket.
class FakeHttpServer {
 public:
  using Handler = std::function<Answer(const ReceivedRequest&)>;
  struct Options {
    std::string unix_path = {};    // "" = TCP
    std::string certificate = {};  // PEM; "" = plain, until an answer says start_tls
    std::string key = {};
    bool tls_from_start = false;
    bool body_first = false;  // the handler is called when the whole request is there
  };

  FakeHttpServer(boost::asio::io_context& context, Handler handler, Options options);
  FakeHttpServer(boost::asio::io_context& context, Handler handler)
      : FakeHttpServer(context, std::move(handler), Options()) {}
  ~FakeHttpServer();

  uint16_t port() const;
  // "http://127.0.0.1:PORT", "https://localhost:PORT" or "unix:PATH".
  std::string url() const;

  const std::vector<ReceivedRequest>& requests() const;
  int connections() const;  // ever accepted
  int open() const;         // now
  // The name that the last TLS client asked for.
  const std::string& server_name() const;

  // Lets one more piece of each answer go.
  void Continue();
  // Hangs up on everybody; goes on listening.
  void CloseConnections();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace boxkeeper::base::http
