#include "providers/runtime/api_client.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "providers/runtime/http_errors.h"

namespace boxkeeper::providers {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;

namespace {

// Of an error's body; more than that is not the API speaking.
constexpr size_t kErrorBytesMax = 64 * 1024;

// The content type without its parameters, in lower case.
std::string ContentType(const http::Headers& headers) {
  const std::string* header = headers.Find("Content-Type");
  if (header == nullptr) return "";
  std::string type = header->substr(0, header->find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

bool IsJson(const http::Headers& headers) {
  const std::string type = ContentType(headers);
  return type == "application/json" ||
         (type.starts_with("application/") && type.ends_with("+json"));
}

bool IsSuccess(int status) { return status >= 200 && status < 300; }

absl::Status Protocol(const std::string& what) {
  return MakeError(MakeProviderError(pb::PROTOCOL, what, false));
}

const json::value* Member(const json::value& value, std::string_view key) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr
                           : object->if_contains(json::string_view(key.data(), key.size()));
}

std::string TextOf(const json::value* value) {
  if (value == nullptr || !value->is_string()) return "";
  return std::string(value->as_string().data(), value->as_string().size());
}

}  // namespace

absl::StatusOr<json::value> ParseBoundedJson(std::string_view text, size_t bytes_max,
                                             size_t depth_max) {
  if (text.size() > bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("JSON of more than ", bytes_max, " bytes"));
  }
  json::parse_options options;
  options.max_depth = depth_max;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  return value;
}

std::string WordsOf(const json::value& body) {
  for (const char* key : {"message", "error", "detail"}) {
    const json::value* value = Member(body, key);
    if (value == nullptr) continue;
    if (std::string text = TextOf(value); !text.empty()) return text;
    if (std::string text = TextOf(Member(*value, "message")); !text.empty()) return text;
  }
  return "";
}

ApiClient::ApiClient(base::Clock& clock, std::unique_ptr<http::Client> http, Refine refine)
    : clock_(clock), http_(std::move(http)), refine_(std::move(refine)) {}

absl::Status ApiClient::ErrorOfAnswer(const http::Reply& reply) const {
  json::value body;
  if (IsJson(reply.headers)) {
    auto parsed = ParseBoundedJson(reply.body, kErrorBytesMax);
    if (parsed.ok()) body = *std::move(parsed);
  }
  pb::ProviderError error = ErrorOfHttp(reply.status, reply.headers, WordsOf(body), clock_.Now());
  if (refine_) refine_(reply.status, body, error);
  return MakeError(error);
}

asio::awaitable<absl::StatusOr<http::Reply>> ApiClient::Exchange(ApiRequest request) {
  http::Request out;
  out.method = request.method;
  out.target = request.target;
  out.deadline = request.deadline;
  out.idempotent = request.idempotent;
  if (request.body) {
    out.headers.Set("Content-Type", "application/json");
    out.body = json::serialize(*request.body);
  }
  auto response = co_await http_->Send(std::move(out));
  if (!response.ok()) co_return ErrorOfTransport(response.status());
  http::Reply reply{response->status, std::move(response->headers), ""};
  const bool success = IsSuccess(reply.status);
  const size_t bytes_max = success ? request.reply_bytes_max : kErrorBytesMax;
  for (;;) {
    auto piece = co_await response->body->Read();
    if (!piece.ok() && success) co_return ErrorOfTransport(piece.status());
    if (!piece.ok() || piece->empty()) break;
    if (reply.body.size() + piece->size() > bytes_max) {
      if (!success) break;
      co_return Protocol(absl::StrCat("an answer of more than ", bytes_max, " bytes"));
    }
    reply.body += *piece;
  }
  if (!success) co_return ErrorOfAnswer(reply);
  co_return reply;
}

asio::awaitable<absl::StatusOr<json::value>> ApiClient::Call(ApiRequest request) {
  const size_t bytes_max = request.reply_bytes_max;
  auto reply = co_await Exchange(std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  if (reply->body.empty()) co_return json::value();
  if (!IsJson(reply->headers)) {
    co_return Protocol(absl::StrCat("HTTP ", reply->status, " with '", ContentType(reply->headers),
                                    "' where JSON was due"));
  }
  auto parsed = ParseBoundedJson(reply->body, bytes_max);
  if (!parsed.ok()) co_return Protocol(std::string(parsed.status().message()));
  co_return *std::move(parsed);
}

asio::awaitable<absl::StatusOr<http::Reply>> ApiClient::CallForBytes(ApiRequest request) {
  auto reply = co_await Exchange(std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  if (ContentType(reply->headers) != "application/octet-stream") {
    co_return Protocol(absl::StrCat("HTTP ", reply->status, " with '", ContentType(reply->headers),
                                    "' where bytes were due"));
  }
  co_return *std::move(reply);
}

}  // namespace boxkeeper::providers
