#include "logs/s3/s3_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crypto/base64.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/s3/s3_errors.h"
#include "logs/s3/sigv4.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

// Of one try, with its body both ways. A part of 8 MiB over a line of 128 kbit/s takes as long; a
// server that completes a large upload keeps us waiting for minutes.
constexpr std::chrono::minutes kTryLimit{10};
constexpr std::chrono::seconds kAnswerLimit{60};
constexpr size_t kErrorBytesMax = 64 * 1024;

// Only what may pass by itself keeps its code; the rest is an operator's.
absl::Status NoCredentials(const absl::Status& status) {
  return absl::Status(
      remote::IsPassing(status) ? status.code() : absl::StatusCode::kUnauthenticated,
      absl::StrCat("s3: ", std::string(status.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Client>> S3Client::Create(
    Deps deps, Options options, std::unique_ptr<CredentialKeeper> credentials) {
  http::ClientOptions http_options;
  http_options.base = {options.location.origin, ""};
  http_options.timeouts.headers = kAnswerLimit;
  http_options.ca_file = deps.environment("AWS_CA_BUNDLE");
  ASSIGN_OR_RETURN(auto client,
                   http::Client::Create({deps.clock, deps.loop}, std::move(http_options)));
  return std::unique_ptr<S3Client>(
      new S3Client(std::move(deps), std::move(options), std::move(credentials), std::move(client)));
}

S3Client::S3Client(Deps deps, Options options, std::unique_ptr<CredentialKeeper> credentials,
                   std::unique_ptr<http::Client> http)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      credentials_(std::move(credentials)),
      http_(std::move(http)),
      server_clock_(deps_.clock) {}

std::string S3Client::Describe(const Call& call) const {
  return absl::StrCat("s3: ", call.method, " s3://", options_.url.bucket,
                      call.key.empty() ? "" : "/", call.key);
}

http::Request S3Client::Sign(const Call& call, const Credentials& credentials) const {
  static const std::string kEmptySha256 = base::HexEncode(base::Sha256(""));
  const Location& location = options_.location;
  SignedParts parts;
  parts.method = call.method;
  parts.path = call.key.empty() ? remote::EncodePath(location.bucket_path)
                                : remote::EncodePath(location.root + call.key);
  parts.query = call.query;
  parts.payload_sha256 =
      call.body_sha256.empty() ? kEmptySha256 : base::HexEncode(call.body_sha256);
  parts.headers = call.headers;
  parts.headers.Add("x-amz-content-sha256", parts.payload_sha256);
  if (!call.body_md5.empty()) {
    parts.headers.Add("Content-MD5", base::Base64Encode(call.body_md5));
  }
  http::Request request;
  request.method = call.method;
  request.target = parts.path;
  if (!call.query.empty()) absl::StrAppend(&request.target, "?", remote::EncodeQuery(call.query));
  request.headers = parts.headers;
  parts.headers.Add("Host", location.origin.Authority());
  const http::Headers signature =
      SignV4(parts, {options_.region, "s3"}, credentials, server_clock_.Now());
  for (const auto& [name, value] : signature.fields()) request.headers.Add(name, value);
  if (call.body != nullptr) request.body = *call.body;
  request.follow_redirects = false;
  request.deadline = deps_.clock.Boot() + kTryLimit;
  return request;
}

asio::awaitable<absl::Status> S3Client::ErrorOfReply(const Call& call, http::Reply reply,
                                                     Credentials credentials,
                                                     absl::Duration clock_offset) {
  const remote::ErrorAnswer answer = ParseError(reply);
  const ErrorContext context{Describe(call), call.method == "HEAD", options_.url.bucket,
                             options_.region, credentials.source};
  const absl::Status status = ErrorOf(reply, answer, context);
  // What cannot have a body says 403 to all of these.
  const bool unsaid = call.method == "HEAD" && reply.status == 403;
  if ((IsAboutTime(answer) || unsaid) && server_clock_.Learn(reply.headers, clock_offset)) {
    co_return remote::MarkMended(status);
  }
  if (!IsAboutCredentials(answer) && !unsaid) co_return status;
  const bool renewed = co_await credentials_->Renew(std::move(credentials));
  if (renewed) co_return remote::MarkMended(status);
  co_return status;
}

asio::awaitable<absl::StatusOr<http::Reply>> S3Client::SendOnce(const Call& call) {
  auto credentials = co_await credentials_->Get();
  if (!credentials.ok()) {
    co_return NoCredentials(credentials.status());
  }
  const absl::Duration clock_offset = server_clock_.offset();
  const size_t bytes_max = std::max(call.reply_bytes_max, kErrorBytesMax);
  auto reply = co_await http_->Fetch(Sign(call, *credentials), bytes_max);
  if (!reply.ok()) {
    const std::string hint = http::IsCertainlyNotSent(reply.status())
                                 ? " (see logs.s3.endpoint and logs.s3.region)"
                                 : "";
    co_return remote::ErrorOfExchange(Describe(call) + hint, reply.status());
  }
  if (reply->status >= 200 && reply->status < 300) {
    if (!call.may_fail_late || ParseError(*reply).code.empty()) {
      absl::Status checked = call.check ? call.check(*reply) : absl::OkStatus();
      CO_RETURN_IF_ERROR(checked);
      co_return reply;
    }
  }
  absl::Status error =
      co_await ErrorOfReply(call, *std::move(reply), *std::move(credentials), clock_offset);
  co_return error;
}

asio::awaitable<absl::StatusOr<http::Reply>> S3Client::Send(Call call) {
  auto once = [this, &call] { return SendOnce(call); };
  co_return co_await remote::RunWithRetries<absl::StatusOr<http::Reply>>(
      deps_.clock, deps_.rng, options_.retries, std::move(once));
}

}  // namespace boxkeeper::logs::s3
