#include "base/http/client.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/http/exchange.h"
#include "base/slots.h"
#include "base/status_macros.h"

namespace boxkeeper::base::http {

namespace asio = boost::asio;

namespace {

constexpr int kRedirectsMax = 5;

bool IsToken(const std::string& text) {
  constexpr std::string_view kSeparators = "()<>@,;:\\\"/[]?={} \t";
  const auto good = [&](char c) {
    return c > ' ' && c < 0x7f && kSeparators.find(c) == std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), good);
}

// What would let one request pass for two.
absl::Status CheckRequest(const Request& request) {
  const auto in_target = [](char c) { return c > ' ' && c < 0x7f; };
  if (!request.target.starts_with('/') ||
      !std::all_of(request.target.begin(), request.target.end(), in_target)) {
    return absl::InvalidArgumentError("the request target must be a percent-encoded path");
  }
  if (!IsToken(request.method)) return absl::InvalidArgumentError("the method is no token");
  for (const auto& [name, value] : request.headers.fields()) {
    const auto in_value = [](char c) { return c == '\t' || (c >= ' ' && c != 0x7f) || c < 0; };
    if (!IsToken(name) || !std::all_of(value.begin(), value.end(), in_value)) {
      return absl::InvalidArgumentError("a header field has characters that none may have");
    }
  }
  return absl::OkStatus();
}

bool IsIdempotent(const Request& request) {
  if (request.idempotent) return *request.idempotent;
  const std::string& method = request.method;
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE";
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

absl::StatusOr<std::shared_ptr<asio::ssl::context>> MakeTls(const std::string& ca_file) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  boost::system::error_code error;
  if (ca_file.empty()) {
    tls->set_default_verify_paths(error);
  } else {
    tls->load_verify_file(ca_file, error);
  }
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificates of ", ca_file, ": ", error.message()));
  }
  return tls;
}

}  // namespace

struct Client::State : std::enable_shared_from_this<Client::State> {
  State(Deps deps, ClientOptions o, std::shared_ptr<asio::ssl::context> t)
      : clock(deps.clock),
        options(std::move(o)),
        tls(std::move(t)),
        slots(clock, options.connections_max, options.waiting_max),
        alarm(clock.NewAlarm(deps.loop)) {}

  struct Kept {
    std::unique_ptr<Connection> connection;
    BootTime until;
  };

  // The one used last, so that those that are not needed grow old.
  std::unique_ptr<Connection> TakeKept() {
    while (!kept.empty()) {
      std::unique_ptr<Connection> connection = std::move(kept.back().connection);
      kept.pop_back();
      if (connection->LooksAlive()) return connection;
    }
    return nullptr;
  }

  void Keep(std::unique_ptr<Connection> connection) {
    kept.push_back({std::move(connection), clock.Boot() + options.keep_idle});
    if (kept.size() == 1) CloseOldLater();
  }

  void CloseOldLater() {
    if (kept.empty()) return alarm->Cancel();
    alarm->Set(kept.front().until, [weak = weak_from_this()] {
      auto alive = weak.lock();
      if (!alive) return;
      while (!alive->kept.empty() && alive->kept.front().until <= alive->clock.Boot()) {
        alive->kept.pop_front();
      }
      alive->CloseOldLater();
    });
  }

  ExchangeOptions Exchange(const std::string& target) const {
    ExchangeOptions exchange;
    const bool whole = options.proxy && options.base.origin.scheme == Scheme::kHttp;
    exchange.target = whole ? options.base.origin.ToString() + target : target;
    exchange.authority = options.base.origin.Authority();
    exchange.timeouts = options.timeouts;
    exchange.header_bytes_max = options.header_bytes_max;
    return exchange;
  }

  asio::awaitable<absl::StatusOr<std::unique_ptr<Connection>>> OpenNew(BootTime deadline) {
    ConnectOptions connect{options.base.origin, options.proxy, options.addresses, tls};
    deadline = std::min(deadline, clock.Boot() + options.timeouts.connect);
    co_return co_await Connection::Open(clock, std::move(connect), deadline);
  }

  // One try. `*was_kept` tells that a kept connection was used, and that nothing came back on it.
  asio::awaitable<absl::StatusOr<Response>> Try(Request& request, const std::string& target,
                                                bool* was_kept) {
    auto slot = co_await slots.Acquire(request.deadline);
    if (!slot.ok()) co_return MarkNotSent(slot.status());
    std::unique_ptr<Connection> connection = *was_kept ? TakeKept() : nullptr;
    *was_kept = connection != nullptr;
    if (connection == nullptr) {
      auto opened = co_await OpenNew(request.deadline);
      if (!opened.ok()) co_return MarkNotSent(opened.status());
      connection = *std::move(opened);
    }
    // The place is taken until the body is read or dropped, which drops the function.
    auto held = std::make_shared<Slots::Slot>(*std::move(slot));
    GiveBack give_back = [weak = weak_from_this(), held](std::unique_ptr<Connection> back) {
      if (auto alive = weak.lock()) alive->Keep(std::move(back));
    };
    co_return co_await Perform(clock, std::move(connection), request, Exchange(target),
                               std::move(give_back));
  }

  asio::awaitable<absl::StatusOr<Response>> TryTwice(Request& request, const std::string& target) {
    bool was_kept = true;
    auto response = co_await Try(request, target, &was_kept);
    const bool again = was_kept && absl::IsUnavailable(response.status()) &&
                       IsIdempotent(request) && request.stream == nullptr;
    if (!again) co_return response;
    was_kept = false;
    co_return co_await Try(request, target, &was_kept);
  }

  Clock& clock;
  const ClientOptions options;
  const std::shared_ptr<asio::ssl::context> tls;
  Slots slots;
  std::deque<Kept> kept;  // the front is the oldest
  std::unique_ptr<Alarm> alarm;
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(Deps deps, ClientOptions options) {
  std::shared_ptr<asio::ssl::context> tls;
  if (options.base.origin.scheme == Scheme::kHttps) {
    ASSIGN_OR_RETURN(tls, MakeTls(options.ca_file));
  }
  return std::unique_ptr<Client>(
      new Client(std::make_shared<State>(deps, std::move(options), std::move(tls))));
}

Client::~Client() = default;

asio::awaitable<absl::StatusOr<Response>> Client::Send(Request request) {
  auto state = state_;
  const ClientOptions& options = state->options;
  for (const auto& [name, value] : options.headers.fields()) {
    if (request.headers.Find(name) == nullptr) request.headers.Add(name, value);
  }
  const bool plain_proxy = options.proxy && options.base.origin.scheme == Scheme::kHttp;
  if (plain_proxy && !options.proxy->authorization.empty()) {
    request.headers.Set("Proxy-Authorization", options.proxy->authorization);
  }
  if (absl::Status checked = CheckRequest(request); !checked.ok()) co_return MarkNotSent(checked);
  std::string target = options.base.path + request.target;
  for (int redirects = 0;; ++redirects) {
    auto response = co_await state->TryTwice(request, target);
    if (!response.ok() || !IsRedirect(response->status) || !request.follow_redirects) {
      co_return response;
    }
    // Only what changes nothing is asked somewhere else; 303 says where to look what came of it.
    const bool safe = request.method == "GET" || request.method == "HEAD";
    if (!safe && response->status != 303) co_return response;
    const std::string* location = response->headers.Find("Location");
    if (redirects == kRedirectsMax || location == nullptr) {
      co_return absl::UnavailableError("redirected too often, or to nowhere");
    }
    CO_ASSIGN_OR_RETURN(target, ResolveRedirect(options.base.origin, target, *location));
    if (!safe) {
      request.method = "GET";
      request.body.clear();
      request.stream.reset();
    }
  }
}

asio::awaitable<absl::StatusOr<Reply>> Client::Fetch(Request request, size_t body_bytes_max) {
  auto response = co_await Send(std::move(request));
  CO_RETURN_IF_ERROR(response.status());
  Reply reply{response->status, std::move(response->headers), ""};
  for (;;) {
    auto piece = co_await response->body->Read();
    CO_RETURN_IF_ERROR(piece.status());
    if (piece->empty()) co_return reply;
    if (reply.body.size() + piece->size() > body_bytes_max) {
      co_return absl::ResourceExhaustedError(
          absl::StrCat("the reply is longer than ", body_bytes_max, " bytes"));
    }
    reply.body += *piece;
  }
}

size_t Client::busy() const { return state_->slots.used(); }
size_t Client::idle() const { return state_->kept.size(); }

}  // namespace boxkeeper::base::http
