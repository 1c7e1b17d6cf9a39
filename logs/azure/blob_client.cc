#include "logs/azure/blob_client.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/crypto/base64.h"
#include "base/crypto/md5.h"
#include "base/status_macros.h"
#include "logs/azure/shared_key.h"
#include "logs/remote/xml.h"

namespace boxkeeper::logs::azure {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

// The first version whose Append Block takes 100 MiB.
constexpr char kVersion[] = "2022-11-02";
constexpr char kCodePayload[] = "boxkeeper.azure.error_code";
// A request of a few MiB on a slow line.
constexpr std::chrono::seconds kCallLimit{120};
// What Azure tolerates is a quarter of an hour.
constexpr absl::Duration kSkewWorthSaying = absl::Minutes(10);

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

// What is worth another try whatever the HTTP status says, and what an operator must mend. Our XML
// is good when it is sent.
absl::StatusCode CodeOf(int status, const std::string& code) {
  if (code == "ContainerNotFound" || code == "ResourceNotFound") {
    return absl::StatusCode::kInvalidArgument;
  }
  if (code == "ServerBusy" || code == "OperationTimedOut" || code == "InternalError" ||
      code == "ContainerBeingDeleted" || code == "Md5Mismatch" || code == "InvalidXmlDocument") {
    return absl::StatusCode::kUnavailable;
  }
  if (code == "AuthenticationFailed" || code == "InvalidAuthenticationInfo" ||
      code == "NoAuthenticationInformation") {
    return absl::StatusCode::kUnauthenticated;
  }
  if (code == "AccountIsDisabled" || code == "BlobImmutableDueToPolicy") {
    return absl::StatusCode::kPermissionDenied;
  }
  // Answers about the blob's state are no reason to repeat the same request.
  if (status == 409) return absl::StatusCode::kFailedPrecondition;
  return remote::CodeOfHttp(status);
}

}  // namespace

std::string ErrorCodeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kCodePayload);
  return payload ? std::string(*payload) : "";
}

BlobClient::BlobClient(Deps deps, Account account, std::string container)
    : deps_(std::move(deps)),
      account_(std::move(account)),
      container_(std::move(container)),
      server_clock_(deps_.clock) {}

http::Request BlobClient::Sign(const BlobRequest& request, const Credential& credential) const {
  http::Request out;
  out.method = request.method;
  out.headers = request.headers;
  out.headers.Set("x-ms-version", kVersion);
  out.headers.Set("x-ms-date", HttpDate(server_clock_.Now()));
  out.body = request.body;
  if (!request.body.empty()) {
    if (request.headers.Find("Content-Type") == nullptr) {
      out.headers.Set("Content-Type", "application/octet-stream");
    }
    const std::string md5 = base::Md5(request.body);
    if (!md5.empty()) out.headers.Set("Content-MD5", base::Base64Encode(md5));
  }
  const std::string path = absl::StrCat("/", container_, request.blob.empty() ? "" : "/",
                                        remote::EncodePath(request.blob));
  const std::string query = remote::EncodeQuery(request.query);
  out.target = absl::StrCat(path, query.empty() ? "" : "?", query);
  if (!credential.key.empty()) {
    const SignedParts parts{.method = request.method,
                            .path = account_.endpoint.path + path,
                            .query = request.query,
                            .content_length = request.body.size(),
                            .headers = out.headers};
    out.headers.Set("Authorization",
                    SharedKeyAuthorization(account_.name, credential.key.view(), parts));
  } else {
    absl::StrAppend(&out.target, query.empty() ? "?" : "&", std::string(credential.sas.view()));
  }
  out.deadline = deps_.clock.Boot() + kCallLimit;
  out.follow_redirects = false;
  return out;
}

std::string BlobClient::FixFor(absl::StatusCode code, const std::string& azure_code) const {
  std::string fix;
  // Azure and its emulator do not tell a wrong key from a missing right in the same words.
  if (code == absl::StatusCode::kUnauthenticated || code == absl::StatusCode::kPermissionDenied) {
    fix = absl::StrCat("is the key or SAS the one of account '", account_.name,
                       "', not replaced or expired, and does it allow reading, adding, creating, "
                       "writing, deleting and listing (sp=racwdl) from this machine's address?");
  } else if (azure_code == "ContainerNotFound") {
    fix = absl::StrCat("create the container '", container_, "' in account '", account_.name, "'");
  }
  const absl::Duration skew = absl::AbsDuration(server_clock_.offset());
  if (!fix.empty() && skew > kSkewWorthSaying) {
    absl::StrAppend(&fix, "; this machine's clock is ",
                    absl::FormatDuration(absl::Floor(skew, absl::Seconds(1))), " off");
  }
  return fix;
}

absl::Status BlobClient::ErrorOf(const std::string& what, const http::Reply& reply) {
  remote::ErrorAnswer answer{.status = reply.status};
  if (const std::string* code = reply.headers.Find("x-ms-error-code")) answer.code = *code;
  if (const std::string* id = reply.headers.Find("x-ms-request-id")) answer.request_id = *id;
  auto body = remote::XmlElement::Parse(reply.body);
  if (body.ok()) {
    if (answer.code.empty()) answer.code = body->Text("Code");
    answer.message = body->Text("Message");
    // "...\nRequestId:...\nTime:...": both are known.
    answer.message.resize(std::min(answer.message.find('\n'), answer.message.size()));
    // The detail repeats what was signed, not the signature; with a SAS it says which field is bad.
    const std::string detail = body->Text("AuthenticationErrorDetail");
    if (!detail.empty() && detail.find("sig=") == std::string::npos) {
      absl::StrAppend(&answer.message, " ", detail);
    }
  }
  absl::StatusCode code = CodeOf(reply.status, answer.code);
  // Bytes that did not arrive as they were sent; the emulator has no code of its own for that, and
  // of a list that it cannot read it says nothing at all.
  const bool says_nothing = answer.code.empty() && answer.message.empty();
  if (reply.status == 400 && (says_nothing || absl::StrContains(answer.message, "MD5"))) {
    code = absl::StatusCode::kUnavailable;
  }
  std::string text(remote::MakeError(code, what, answer).message());
  const std::string fix = FixFor(code, answer.code);
  if (!fix.empty()) absl::StrAppend(&text, "; ", fix);
  absl::Status status(code, text);
  status.SetPayload(kCodePayload, absl::Cord(answer.code));
  return remote::WithRetryAfter(std::move(status), remote::RetryAfterOf(reply.headers));
}

asio::awaitable<absl::StatusOr<http::Reply>> BlobClient::Once(const std::string& what,
                                                              const BlobRequest& request,
                                                              size_t reply_bytes_max) {
  auto credential = co_await deps_.credentials->Get();
  CO_RETURN_IF_ERROR(credential.status());
  const absl::Duration clock_offset = server_clock_.offset();
  auto reply = co_await deps_.http->Fetch(Sign(request, **credential), reply_bytes_max);
  if (!reply.ok()) co_return remote::ErrorOfExchange(what, reply.status());
  const bool clock_changed = server_clock_.Learn(reply->headers, clock_offset);
  if (reply->status < 300) {
    if (request.check) CO_RETURN_IF_ERROR(request.check(*reply));
    co_return reply;
  }
  absl::Status status = ErrorOf(what, *reply);
  if (reply->status == 403 && clock_changed) co_return remote::MarkMended(std::move(status));
  if (reply->status == 403 || reply->status == 401) deps_.credentials->Refused();
  co_return status;
}

asio::awaitable<absl::StatusOr<http::Reply>> BlobClient::Call(std::string what, BlobRequest request,
                                                              size_t reply_bytes_max) {
  using Result = absl::StatusOr<http::Reply>;
  auto once = [&]() -> asio::awaitable<Result> { return Once(what, request, reply_bytes_max); };
  co_return co_await remote::RunWithRetries<Result>(deps_.clock, deps_.rng, deps_.retry, once);
}

asio::awaitable<absl::StatusOr<base::SecretString>> BlobClient::SourceUrl(std::string blob) {
  auto credential = co_await deps_.credentials->Get();
  CO_RETURN_IF_ERROR(credential.status());
  std::string url = absl::StrCat(account_.endpoint.origin.ToString(), account_.endpoint.path, "/",
                                 container_, "/", remote::EncodePath(blob));
  if (!(*credential)->sas.empty())
    absl::StrAppend(&url, "?", std::string((*credential)->sas.view()));
  base::SecretString secret(url);
  base::WipeString(url);
  co_return secret;
}

}  // namespace boxkeeper::logs::azure
