#include "logs/gcs/token_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/gcs/json.h"
#include "logs/remote/encode.h"

namespace boxkeeper::logs::gcs {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr size_t kReplyMax = 64 * 1024;
constexpr size_t kWaitingMax = 4096;
constexpr std::chrono::seconds kCallLimit{30};
// The metadata server gives out a new token from there on.
constexpr std::chrono::seconds kEarly{300};
constexpr std::chrono::seconds kAgainAfter{30};
constexpr char kMetadataHost[] = "metadata.google.internal";
constexpr char kMetadataVariable[] = "GCE_METADATA_HOST";
constexpr char kMetadataPath[] = "/computeMetadata/v1/instance/service-accounts/default/token";
constexpr std::chrono::seconds kMetadataConnect{3};

std::string Form(const remote::Query& fields) { return remote::EncodeQuery(fields); }

}  // namespace

TokenSource::TokenSource(Deps deps, Settings settings, remote::Environment environment,
                         remote::RetryOptions retry)
    : deps_(deps),
      settings_(std::move(settings)),
      environment_(std::move(environment)),
      retry_(retry),
      one_at_a_time_(deps.clock, 1, kWaitingMax),
      server_clock_(deps.clock) {}

bool TokenSource::IsFresh() const {
  return anonymous_ || (token_ != nullptr && deps_.clock.Boot() < refresh_at_);
}

asio::awaitable<absl::StatusOr<std::shared_ptr<const base::SecretString>>> TokenSource::Get() {
  if (IsFresh()) co_return token_;
  auto turn = co_await one_at_a_time_.Acquire(base::BootTime::max());
  CO_RETURN_IF_ERROR(turn.status());
  if (IsFresh()) co_return token_;
  absl::Status refreshed = co_await Refresh();
  if (!refreshed.ok() && (token_ == nullptr || deps_.clock.Boot() >= expires_at_)) {
    co_return refreshed;
  }
  // The old one is good for a while yet.
  if (!refreshed.ok()) refresh_at_ = deps_.clock.Boot() + kAgainAfter;
  co_return token_;
}

void TokenSource::Refused(const std::shared_ptr<const base::SecretString>& token) {
  if (token == token_) token_.reset();
}

asio::awaitable<absl::Status> TokenSource::Refresh() {
  auto once = [this]() -> asio::awaitable<absl::Status> { return FetchOnce(); };
  co_return co_await remote::RunWithRetries<absl::Status>(deps_.clock, deps_.rng, retry_, once);
}

asio::awaitable<absl::Status> TokenSource::FetchOnce() {
  auto find = [this] { return FindCredentials(deps_.files, settings_, environment_); };
  auto credentials = co_await base::RunOn(deps_.pool, std::move(find));
  CO_RETURN_IF_ERROR(credentials.status());
  source_ = credentials->source;
  anonymous_ = credentials->kind == Credentials::Kind::kAnonymous;
  if (anonymous_) co_return absl::OkStatus();
  auto reply = co_await Ask(*credentials);
  CO_RETURN_IF_ERROR(reply.status());
  const bool clock_changed = server_clock_.Learn(reply->headers);
  if (reply->status != 200) co_return ErrorOf(*reply, clock_changed);
  absl::Status taken = Take(*reply);
  base::WipeString(reply->body);
  co_return taken;
}

asio::awaitable<absl::StatusOr<http::Reply>> TokenSource::Ask(const Credentials& credentials) {
  http::ClientOptions options;
  http::Request request;
  request.deadline = deps_.clock.Boot() + kCallLimit;
  request.idempotent = true;
  request.follow_redirects = false;
  std::string address = credentials.token_uri;
  if (credentials.kind == Credentials::Kind::kMetadataServer) {
    const std::string elsewhere = environment_(kMetadataVariable);
    address = absl::StrCat("http://", elsewhere.empty() ? kMetadataHost : elsewhere);
    request.target = kMetadataPath;
    request.headers.Set("Metadata-Flavor", "Google");
    options.addresses.allow_link_local = true;
    options.timeouts.connect = kMetadataConnect;
  } else {
    request.method = "POST";
    request.target = "";
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  }
  if (credentials.kind == Credentials::Kind::kServiceAccount) {
    auto sign = [&credentials, now = server_clock_.Now()] {
      return SignedAssertion(credentials, now);
    };
    auto assertion = co_await base::RunOn(deps_.pool, std::move(sign));
    CO_RETURN_IF_ERROR(assertion.status());
    request.body = Form({{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                         {"assertion", std::string(assertion->view())}});
  } else if (credentials.kind == Credentials::Kind::kAuthorizedUser) {
    request.body = Form({{"grant_type", "refresh_token"},
                         {"client_id", credentials.client_id},
                         {"client_secret", std::string(credentials.client_secret.view())},
                         {"refresh_token", std::string(credentials.refresh_token.view())}});
  }
  auto base = http::ParseBaseUrl(address);
  if (!base.ok()) {
    co_return absl::UnauthenticatedError(
        absl::StrCat(credentials.source, ": token_uri: ", std::string(base.status().message())));
  }
  if (request.target.empty())
    request.target = base->path.empty() ? "/" : std::exchange(base->path, "");
  options.base = *std::move(base);
  auto client = http::Client::Create({deps_.clock, deps_.loop}, std::move(options));
  CO_RETURN_IF_ERROR(client.status());
  auto reply = co_await (*client)->Fetch(std::move(request), kReplyMax);
  if (reply.ok()) co_return reply;
  const absl::Status failed = remote::ErrorOfExchange(
      absl::StrCat("a token from ", address, ", with credentials of ", source_), reply.status());
  if (credentials.kind != Credentials::Kind::kMetadataServer) co_return failed;
  co_return absl::Status(
      failed.code(), absl::StrCat(std::string(failed.message()), "; outside of Google Cloud set ",
                                  "logs.gcs.credentials_file or GOOGLE_APPLICATION_CREDENTIALS"));
}

absl::Status TokenSource::Take(const http::Reply& reply) {
  ASSIGN_OR_RETURN(const auto answer, ParseJson(reply.body));
  std::string token = TextAt(answer, "access_token");
  int64_t seconds = 0;
  if (token.empty() || !absl::SimpleAtoi(TextAt(answer, "expires_in"), &seconds) || seconds <= 0) {
    return absl::UnavailableError(absl::StrCat("the answer of ", source_, " has no token"));
  }
  token_ = std::make_shared<const base::SecretString>(token);
  base::WipeString(token);
  const auto life = std::chrono::seconds(std::min<int64_t>(seconds, 24 * 3600));
  expires_at_ = deps_.clock.Boot() + life;
  refresh_at_ = expires_at_ - std::min<base::BootClock::duration>(kEarly, life / 4);
  return absl::OkStatus();
}

absl::Status TokenSource::ErrorOf(const http::Reply& reply, bool clock_changed) const {
  remote::ErrorAnswer answer{.status = reply.status};
  if (auto body = ParseJson(reply.body); body.ok()) {
    answer.code = TextAt(*body, "error");
    answer.message = TextAt(*body, "error_description");
  }
  const bool refused =
      reply.status == 400 || reply.status == 401 || reply.status == 403 || reply.status == 404;
  const absl::StatusCode code =
      refused ? absl::StatusCode::kUnauthenticated : remote::CodeOfHttp(reply.status);
  std::string text(
      remote::MakeError(code, absl::StrCat("a token with credentials of ", source_), answer)
          .message());
  if (refused) {
    text += "; is the account there and enabled, and the key not deleted or expired?";
    const absl::Duration skew = absl::AbsDuration(server_clock_.offset());
    if (skew > absl::Minutes(4)) {
      absl::StrAppend(&text, " This machine's clock is ",
                      absl::FormatDuration(absl::Floor(skew, absl::Seconds(1))), " off.");
    }
  }
  absl::Status status =
      remote::WithRetryAfter(absl::Status(code, text), remote::RetryAfterOf(reply.headers));
  return refused && clock_changed ? remote::MarkMended(std::move(status)) : status;
}

}  // namespace boxkeeper::logs::gcs
