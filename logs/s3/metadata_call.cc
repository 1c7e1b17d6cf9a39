#include "logs/s3/metadata_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/remote/retry.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr size_t kReplyBytesMax = 256 * 1024;

// A request without a stream, to be sent again.
http::Request CopyOf(const http::Request& request) {
  http::Request copy;
  copy.method = request.method;
  copy.target = request.target;
  copy.headers = request.headers;
  copy.body = request.body;
  copy.follow_redirects = false;
  return copy;
}

}  // namespace

asio::awaitable<absl::StatusOr<http::Reply>> CallMetadata(const RemoteDeps& deps,
                                                          MetadataCall call) {
  auto base = http::ParseBaseUrl(call.url);
  if (!base.ok()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat(call.what, ": ", std::string(base.status().message())));
  }
  http::ClientOptions options;
  options.base = *std::move(base);
  options.addresses.allow_link_local = call.allow_link_local;
  options.timeouts.connect = call.connect_timeout;
  options.timeouts.headers = call.answer_timeout;
  options.timeouts.idle = call.answer_timeout;
  options.ca_file = deps.local.environment("AWS_CA_BUNDLE");
  auto client = http::Client::Create({deps.clock, deps.loop}, std::move(options));
  CO_RETURN_IF_ERROR(client.status());
  auto once = [&]() -> asio::awaitable<absl::StatusOr<http::Reply>> {
    auto reply = co_await (*client)->Fetch(CopyOf(call.request), kReplyBytesMax);
    if (!reply.ok()) co_return remote::ErrorOfExchange(call.what, reply.status());
    const int status = reply->status;
    if ((status >= 200 && status < 300) || (status >= 400 && status < 500 && status != 429)) {
      co_return reply;
    }
    co_return remote::WithRetryAfter(
        absl::UnavailableError(absl::StrCat(call.what, ": HTTP ", status)),
        remote::RetryAfterOf(reply->headers));
  };
  remote::RetryOptions retries{.tries_max = 3};
  co_return co_await remote::RunWithRetries<absl::StatusOr<http::Reply>>(deps.clock, deps.rng,
                                                                         retries, once);
}

}  // namespace boxkeeper::logs::s3
