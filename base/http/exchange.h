// One request and its response on one connection.
#pragma once

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/verb.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/http/connection.h"
#include "base/http/message.h"

namespace boxkeeper::base::http {

struct ExchangeOptions {
  std::string target;     // as it is written into the request line
  std::string authority;  // Host
  Timeouts timeouts;
  size_t header_bytes_max = 0;
};

// Called once the response is at its end and the connection can carry another request.
using GiveBack = std::function<void(std::unique_ptr<Connection>)>;

// Sends `request` over `connection` and reads the response's header. Interim responses (1xx) are
// skipped. A server that answers before it has the whole body, and closes, is heard all the same.
// `give_back` is kept by the response's body. `clock` outlives it.
boost::asio::awaitable<absl::StatusOr<Response>> Perform(Clock& clock,
                                                         std::unique_ptr<Connection> connection,
                                                         Request& request, ExchangeOptions options,
                                                         GiveBack give_back);

}  // namespace boxkeeper::base::http
