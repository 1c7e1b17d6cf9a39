#include "base/http/exchange.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::base::http {
namespace {

namespace asio = boost::asio;
namespace wire = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr int kHttp11 = 11;
constexpr size_t kPieceBytes = 64 * 1024;
// A body up to this is written in one go with the header.
constexpr size_t kSmallBytes = 256 * 1024;
// How long to look for an answer to a request that could not be written to its end.
constexpr milliseconds kEarlyAnswer{1'000};
constexpr int kSwitchingProtocols = 101;
// Interim responses to one request; more are no information but a way to keep us busy.
constexpr int kInterimMax = 32;

BootTime Soonest(Clock& clock, BootTime deadline, milliseconds timeout) {
  return std::min(deadline, clock.Boot() + timeout);
}

using Parser = wire::response_parser<wire::buffer_body>;

// What is left of the response.
class Body final : public ResponseBody {
 public:
  Body(Clock& clock, std::unique_ptr<Connection> connection, std::unique_ptr<Parser> parser,
       BootTime deadline, milliseconds idle, GiveBack give_back)
      : clock_(clock),
        connection_(std::move(connection)),
        parser_(std::move(parser)),
        deadline_(deadline),
        idle_(idle),
        give_back_(std::move(give_back)) {
    if (parser_->is_done()) Finish();
  }

  asio::awaitable<absl::StatusOr<std::string>> Read() override {
    if (connection_ == nullptr) co_return end_;
    std::string data(kPieceBytes, '\0');
    size_t got = 0;
    while (got == 0 && !parser_->is_done()) {
      parser_->get().body().data = data.data();
      parser_->get().body().size = data.size();
      auto read = [this](auto& stream) -> asio::awaitable<error_code> {
        auto [error, count] =
            co_await wire::async_read_some(stream, connection_->buffer(), *parser_, kTuple);
        co_return error == wire::error::need_buffer ? error_code() : error;
      };
      absl::Status status =
          co_await connection_->Run("body", Soonest(clock_, deadline_, idle_), std::move(read));
      if (!status.ok()) {
        connection_.reset();
        end_ = status;
        co_return status;
      }
      got = data.size() - parser_->get().body().size;
    }
    data.resize(got);
    if (parser_->is_done()) Finish();
    co_return data;
  }

 private:
  void Finish() {
    std::unique_ptr<Connection> connection = std::move(connection_);
    // After 101 the connection speaks something else.
    const bool http = parser_->get().result_int() != kSwitchingProtocols;
    if (http && parser_->keep_alive() && connection->buffer().size() == 0) {
      give_back_(std::move(connection));
    }
    give_back_ = nullptr;
  }

  Clock& clock_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Parser> parser_;
  const BootTime deadline_;
  const milliseconds idle_;
  GiveBack give_back_;
  absl::StatusOr<std::string> end_ = std::string();  // what Read gives from now on
};

// A large body that is there already, in pieces.
class StringSource final : public BodySource {
 public:
  explicit StringSource(const std::string& body) : body_(body) {}
  std::optional<uint64_t> size() const override { return body_.size(); }
  asio::awaitable<absl::StatusOr<std::string>> Next() override {
    std::string piece = body_.substr(std::min(at_, body_.size()), kSmallBytes);
    at_ += piece.size();
    co_return piece;
  }

 private:
  const std::string& body_;
  size_t at_ = 0;
};

class Sender {
 public:
  Sender(Clock& clock, Connection& connection, Request& request, const ExchangeOptions& options)
      : clock_(clock), connection_(connection), request_(request), options_(options) {}

  asio::awaitable<absl::Status> Send() {
    if (request_.stream != nullptr) co_return co_await SendStream(*request_.stream);
    if (request_.body.size() <= kSmallBytes) co_return co_await SendSmall();
    StringSource source(request_.body);
    co_return co_await SendStream(source);
  }

 private:
  template <typename Message>
  void Fill(Message& message) const {
    message.method_string(request_.method);
    message.target(options_.target);
    message.version(kHttp11);
    message.set(wire::field::host, options_.authority);
    for (const auto& [name, value] : request_.headers.fields()) message.insert(name, value);
  }

  bool MayHaveBody() const {
    return request_.method != "GET" && request_.method != "HEAD" && request_.method != "OPTIONS";
  }

  asio::awaitable<absl::Status> SendSmall() {
    wire::request<wire::string_body> message;
    Fill(message);
    message.body() = request_.body;
    if (!request_.body.empty() || MayHaveBody()) message.content_length(request_.body.size());
    auto write = [&message](auto& stream) -> asio::awaitable<error_code> {
      auto [error, count] = co_await wire::async_write(stream, message, kTuple);
      co_return error;
    };
    co_return co_await connection_.Run("send", Deadline(), std::move(write));
  }

  asio::awaitable<absl::Status> SendStream(BodySource& source) {
    wire::request<wire::buffer_body> message;
    Fill(message);
    const std::optional<uint64_t> size = source.size();
    if (size) {
      message.content_length(*size);
    } else {
      message.chunked(true);
    }
    message.body().data = nullptr;
    message.body().more = true;
    wire::request_serializer<wire::buffer_body> serializer(message);
    uint64_t sent = 0;
    for (bool more = true; more;) {
      auto piece = co_await source.Next();
      CO_RETURN_IF_ERROR(piece.status());
      more = !piece->empty();
      sent += piece->size();
      if (size && (sent > *size || (!more && sent < *size))) {
        co_return absl::InvalidArgumentError("the body is not as long as it was announced");
      }
      message.body().data = more ? piece->data() : nullptr;
      message.body().size = piece->size();
      message.body().more = more;
      auto write = [&serializer](auto& stream) -> asio::awaitable<error_code> {
        auto [error, count] = co_await wire::async_write(stream, serializer, kTuple);
        co_return error == wire::error::need_buffer ? error_code() : error;
      };
      absl::Status written = co_await connection_.Run("send", Deadline(), std::move(write));
      CO_RETURN_IF_ERROR(written);
    }
    co_return absl::OkStatus();
  }

  BootTime Deadline() const { return Soonest(clock_, request_.deadline, options_.timeouts.idle); }

  Clock& clock_;
  Connection& connection_;
  Request& request_;
  const ExchangeOptions& options_;
};

// The parser, at the response's body.
asio::awaitable<absl::StatusOr<std::unique_ptr<Parser>>> ReadHeader(Connection& connection,
                                                                    bool is_head,
                                                                    size_t header_bytes_max,
                                                                    BootTime deadline) {
  for (int interim = 0; interim <= kInterimMax; ++interim) {
    auto parser = std::make_unique<Parser>();
    parser->header_limit(static_cast<std::uint32_t>(header_bytes_max));
    parser->body_limit(boost::none);
    parser->skip(is_head);
    auto read = [&](auto& stream) -> asio::awaitable<error_code> {
      auto [error, count] =
          co_await wire::async_read_header(stream, connection.buffer(), *parser, kTuple);
      co_return error;
    };
    absl::Status status = co_await connection.Run("response", deadline, std::move(read));
    CO_RETURN_IF_ERROR(status);
    const unsigned code = parser->get().result_int();
    if (code == kSwitchingProtocols || code >= 200) co_return parser;
  }
  co_return absl::UnavailableError("response: too many interim responses");
}

Response MakeResponse(const Parser& parser) {
  Response response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) {
    response.headers.Add(std::string(field.name_string()), std::string(field.value()));
  }
  return response;
}

}  // namespace

asio::awaitable<absl::StatusOr<Response>> Perform(Clock& clock,
                                                  std::unique_ptr<Connection> connection,
                                                  Request& request, ExchangeOptions options,
                                                  GiveBack give_back) {
  // A chunk's extensions and the trailer have no bound of their own.
  connection->buffer().max_size(options.header_bytes_max + kPieceBytes);
  Sender sender(clock, *connection, request, options);
  const absl::Status sent = co_await sender.Send();
  BootTime deadline = Soonest(clock, request.deadline, options.timeouts.headers);
  if (!sent.ok()) {
    // Only a server that hung up may have said why.
    if (!absl::IsUnavailable(sent)) co_return sent;
    deadline = Soonest(clock, request.deadline, kEarlyAnswer);
  }
  auto parser = co_await ReadHeader(*connection, request.method == "HEAD", options.header_bytes_max,
                                    deadline);
  if (!parser.ok()) co_return sent.ok() ? parser.status() : sent;
  Response response = MakeResponse(**parser);
  if (!sent.ok()) give_back = [](std::unique_ptr<Connection>) {};
  response.body =
      std::make_unique<Body>(clock, std::move(connection), *std::move(parser), request.deadline,
                             options.timeouts.idle, std::move(give_back));
  co_return response;
}

}  // namespace boxkeeper::base::http
