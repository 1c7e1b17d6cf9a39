#include "logs/gcs/gcs_client.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/gcs/json.h"
#include "logs/remote/encode.h"

namespace boxkeeper::logs::gcs {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

// A request of a few MiB on a slow line.
constexpr std::chrono::seconds kCallLimit{120};
constexpr size_t kMessageMax = 500;

// What an error's body says: JSON of the API, or plain text where an object's bytes were asked for.
remote::ErrorAnswer Understand(const http::Reply& reply) {
  remote::ErrorAnswer answer{.status = reply.status};
  if (const std::string* id = reply.headers.Find("X-GUploader-UploadID")) answer.request_id = *id;
  auto body = ParseJson(reply.body);
  if (!body.ok()) {
    const bool is_markup = reply.body.starts_with('<');
    if (!is_markup) answer.message = reply.body.substr(0, kMessageMax);
    return answer;
  }
  const auto* error = body->if_contains("error");
  if (error == nullptr || !error->is_object()) return answer;
  answer.message = TextAt(error->as_object(), "message");
  const auto* errors = error->as_object().if_contains("errors");
  if (errors != nullptr && errors->is_array() && !errors->as_array().empty() &&
      errors->as_array()[0].is_object()) {
    answer.code = TextAt(errors->as_array()[0].as_object(), "reason");
  }
  return answer;
}

bool IsRateLimit(const std::string& reason) {
  return reason == "rateLimitExceeded" || reason == "userRateLimitExceeded";
}

}  // namespace

GcsClient::GcsClient(Deps deps, http::BaseUrl endpoint, std::string bucket)
    : deps_(std::move(deps)),
      endpoint_(std::move(endpoint)),
      bucket_(std::move(bucket)),
      objects_(absl::StrCat("/storage/v1/b/", remote::EncodeValue(bucket_), "/o")) {}

std::string GcsClient::ObjectTarget(const std::string& name) const {
  return absl::StrCat(objects_, "/", remote::EncodeValue(name));
}

absl::StatusOr<std::string> GcsClient::TargetOf(const std::string& location) const {
  ASSIGN_OR_RETURN(std::string target,
                   http::ResolveRedirect(endpoint_.origin, endpoint_.path + "/", location));
  // Call puts the endpoint's own path in front.
  if (target.starts_with(endpoint_.path)) target.erase(0, endpoint_.path.size());
  return target;
}

absl::Status GcsClient::ErrorOf(const std::string& what, const http::Reply& reply) const {
  const remote::ErrorAnswer answer = Understand(reply);
  absl::StatusCode code = remote::CodeOfHttp(reply.status);
  std::string fix;
  if (reply.status == 403 && IsRateLimit(answer.code)) {
    code = absl::StatusCode::kResourceExhausted;
  } else if (reply.status == 400 && absl::StrContains(answer.message, "CRC32C")) {
    code = absl::StatusCode::kUnavailable;  // the bytes did not arrive as they were sent
  } else if (reply.status == 401) {
    fix = "; is the account of the credentials there and enabled?";
  } else if (reply.status == 403) {
    fix = absl::StrCat("; give the account the role storage.objectUser on bucket '", bucket_,
                       "' (objects: create, delete, get, list)");
  } else if (reply.status == 404 && absl::StrContains(answer.message, "bucket does not exist")) {
    code = absl::StatusCode::kInvalidArgument;
    fix = absl::StrCat("; create the bucket '", bucket_, "', or correct logs.url");
  }
  const std::string text(remote::MakeError(code, what, answer).message());
  return remote::WithRetryAfter(absl::Status(code, text + fix),
                                remote::RetryAfterOf(reply.headers));
}

asio::awaitable<absl::StatusOr<http::Reply>> GcsClient::Once(const std::string& what,
                                                             const GcsRequest& request) {
  auto token = co_await deps_.tokens->Get();
  CO_RETURN_IF_ERROR(token.status());
  http::Request out;
  out.method = request.method;
  out.target = request.target;
  out.headers = request.headers;
  out.body = request.body;
  out.deadline = deps_.clock.Boot() + kCallLimit;
  out.follow_redirects = false;
  out.idempotent = request.retry;  // else not even on a kept connection that turns out dead
  if (*token != nullptr) {
    out.headers.Set("Authorization", absl::StrCat("Bearer ", std::string((*token)->view())));
  }
  auto reply = co_await deps_.http->Fetch(std::move(out), request.reply_bytes_max);
  if (!reply.ok()) co_return remote::ErrorOfExchange(what, reply.status());
  if (reply->status < 300) {
    if (request.check) CO_RETURN_IF_ERROR(request.check(*reply));
    co_return reply;
  }
  if (reply->status == request.expected) co_return reply;
  absl::Status status = ErrorOf(what, *reply);
  if (reply->status != 401 || *token == nullptr) co_return status;
  deps_.tokens->Refused(*token);
  co_return remote::MarkMended(std::move(status));
}

asio::awaitable<absl::StatusOr<http::Reply>> GcsClient::Call(std::string what, GcsRequest request) {
  using Result = absl::StatusOr<http::Reply>;
  if (!request.retry) co_return co_await Once(what, request);
  auto once = [&]() -> asio::awaitable<Result> { return Once(what, request); };
  co_return co_await remote::RunWithRetries<Result>(deps_.clock, deps_.rng, deps_.retry, once);
}

}  // namespace boxkeeper::logs::gcs
