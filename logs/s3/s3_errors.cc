#include "logs/s3/s3_errors.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "logs/remote/xml.h"

namespace boxkeeper::logs::s3 {
namespace {

using Code = absl::StatusCode;

const std::set<std::string>& PassingCodes() {
  // BadDigest and its likes: what arrived is not what was sent.
  static const std::set<std::string> codes = {
      "SlowDown",        "ServiceUnavailable",   "InternalError",
      "RequestTimeout",  "OperationAborted",     "ConditionalRequestConflict",
      "BadDigest",       "IncompleteBody",       "XAmzContentSHA256Mismatch",
      "InvalidDigest",   "ThrottlingException",  "Throttling",
      "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded"};
  return codes;
}

const std::set<std::string>& RegionCodes() {
  static const std::set<std::string> codes = {"AuthorizationHeaderMalformed", "PermanentRedirect",
                                              "TemporaryRedirect",
                                              "IllegalLocationConstraintException"};
  return codes;
}

std::string RegionSaid(const base::http::Reply& reply) {
  if (const std::string* header = reply.headers.Find("x-amz-bucket-region")) return *header;
  const auto root = remote::XmlElement::Parse(reply.body);
  return root.ok() ? root->Text("Region") : "";
}

// The second one is versitygw's.
bool IsUnknownKey(const std::string& code) {
  return code == "InvalidAccessKeyId" || code == "XAdminUserNotFound";
}

struct Meaning {
  Code code;
  std::string fix = {};
};

Meaning MeaningOf(const base::http::Reply& reply, const remote::ErrorAnswer& answer,
                  const ErrorContext& context) {
  const std::string& code = answer.code;
  if (PassingCodes().contains(code)) return {Code::kUnavailable};
  if (code == "NoSuchBucket") {
    return {Code::kInvalidArgument, absl::StrCat("there is no bucket '", context.bucket,
                                                 "' there: create it, or correct logs.url")};
  }
  if (RegionCodes().contains(code) || (answer.status >= 300 && answer.status < 400)) {
    const std::string region = RegionSaid(reply);
    if (region.empty() || region == context.region) {
      return {Code::kInvalidArgument,
              "the server refuses how it is addressed: see logs.s3.region, "
              "logs.s3.endpoint and logs.s3.path_style"};
    }
    return {Code::kInvalidArgument,
            absl::StrCat("the bucket is in another region: set logs.s3.region: ", region, " (now ",
                         context.region, ")")};
  }
  if (IsUnknownKey(code)) {
    return {Code::kUnauthenticated,
            absl::StrCat("the access key is not known there: it comes from ", context.credentials)};
  }
  if (code == "SignatureDoesNotMatch") {
    return {Code::kUnauthenticated,
            absl::StrCat("the secret key does not belong to the access key: both come from ",
                         context.credentials)};
  }
  if (IsAboutTime(answer)) {
    return {Code::kUnauthenticated, "this machine's clock and the server's differ: set the clock"};
  }
  if (IsAboutCredentials(answer)) {
    return {Code::kUnauthenticated,
            absl::StrCat("the credentials have expired: they come from ", context.credentials)};
  }
  if (code == "NoSuchKey" || code == "NoSuchUpload") return {Code::kNotFound};
  if (code == "EntityTooLarge" || code == "QuotaExceeded") return {Code::kResourceExhausted};
  if (answer.status == 403) {
    return {Code::kPermissionDenied,
            absl::StrCat("allow s3:PutObject, s3:GetObject, s3:DeleteObject, s3:ListBucket, "
                         "s3:AbortMultipartUpload and s3:ListBucketMultipartUploads on bucket '",
                         context.bucket, "' to the key that comes from ", context.credentials)};
  }
  if (answer.status == 404 && context.is_head) return {Code::kNotFound};
  if (answer.status == 404) {
    return {Code::kInvalidArgument, "that is no answer of S3: see logs.s3.endpoint"};
  }
  return {remote::CodeOfHttp(answer.status)};
}

}  // namespace

remote::ErrorAnswer ParseError(const base::http::Reply& reply) {
  remote::ErrorAnswer answer{.status = reply.status};
  if (const std::string* id = reply.headers.Find("x-amz-request-id")) answer.request_id = *id;
  const auto root = remote::XmlElement::Parse(reply.body);
  if (!root.ok() || root->name() != "Error") return answer;
  answer.code = root->Text("Code");
  answer.message = root->Text("Message");
  return answer;
}

bool IsAboutCredentials(const remote::ErrorAnswer& answer) {
  return answer.code == "ExpiredToken" || answer.code == "ExpiredTokenException" ||
         answer.code == "InvalidToken" || answer.code == "TokenRefreshRequired" ||
         answer.code == "SignatureDoesNotMatch" || IsUnknownKey(answer.code);
}

bool IsAboutTime(const remote::ErrorAnswer& answer) {
  return answer.code == "RequestTimeTooSkewed" || answer.code == "RequestExpired" ||
         answer.code == "RequestInTheFuture";
}

absl::Status ErrorOf(const base::http::Reply& reply, const remote::ErrorAnswer& answer,
                     const ErrorContext& context) {
  const Meaning meaning = MeaningOf(reply, answer, context);
  absl::Status status = remote::MakeError(meaning.code, context.what, answer);
  if (!meaning.fix.empty()) {
    status =
        absl::Status(meaning.code, absl::StrCat(std::string(status.message()), "; ", meaning.fix));
  }
  return remote::WithRetryAfter(std::move(status), remote::RetryAfterOf(reply.headers));
}

}  // namespace boxkeeper::logs::s3
