#include "providers/fakecloud/server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/wait_list.h"
#include "providers/fakecloud/router.h"
#include "providers/fakecloud/server_wire.h"
#include "providers/runtime/api_client.h"
#include "providers/testing/fault_plan.h"
#include "providers/testing/fault_script.h"

namespace boxkeeper::providers::fakecloud {

namespace asio = boost::asio;
namespace json = boost::json;
namespace wire = boost::beast::http;
using asio::ip::tcp;
using testing::FaultKind;
using testing::FaultPlan;
using testing::Verb;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kBodyBytesMax = 8 * 1024 * 1024;
constexpr size_t kHugeBytes = 10 * 1024 * 1024;
constexpr size_t kDeepLevels = 100'000;
constexpr std::chrono::milliseconds kDripInterval{500};
constexpr std::chrono::seconds kHeartbeat{5};
// A subscriber that is further behind is told to look at everything.
constexpr size_t kEventsMax = 10'000;

std::string Head(int status, const HttpAnswer& answer, size_t length) {
  std::string head = absl::StrCat("HTTP/1.1 ", status, " ",
                                  std::string(wire::obsolete_reason(wire::int_to_status(status))),
                                  "\r\nContent-Type: ", answer.type, "\r\n");
  for (const auto& [name, value] : answer.headers)
    absl::StrAppend(&head, name, ": ", value, "\r\n");
  if (status != 204) absl::StrAppend(&head, "Content-Length: ", length, "\r\n");
  return head + "\r\n";
}

std::string Whole(const HttpAnswer& answer) {
  return Head(answer.status, answer, answer.body.size()) + answer.body;
}

std::string Chunk(const std::string& data) {
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}

HttpAnswer InjectedError(const FaultPlan& plan) {
  HttpAnswer answer = ErrorAnswer(plan.http_status, "injected", plan.error->message());
  if (plan.error->has_retry_after()) {
    const auto& wait = plan.error->retry_after();
    answer.headers["Retry-After"] = absl::StrCat(wait.seconds() + (wait.nanos() > 0 ? 1 : 0));
  }
  return answer;
}

}  // namespace

struct FakeCloudServer::State : std::enable_shared_from_this<FakeCloudServer::State> {
  State(Deps deps, ServerOptions some_options)
      : executor(deps.executor),
        clock(deps.clock),
        world(deps.world),
        options(std::move(some_options)),
        faults(deps.clock, deps.rng, options.faults),
        acceptor(deps.executor),
        alarm(deps.clock.NewAlarm(deps.executor)) {}

  // One stream of events.
  struct Subscriber {
    explicit Subscriber(base::Clock& clock) : changed(clock) {}
    std::deque<std::string> lines;
    base::WaitList changed;
  };

  void Start() {
    observer = world.Observe([this](const std::string& name) { OnWorld(name); });
    Arm();
    asio::co_spawn(
        executor, [self = shared_from_this()] { return self->Accept(); },
        [](std::exception_ptr) {});
  }

  void Stop() {
    closed = true;
    alarm.reset();
    world.Unobserve(observer);
    boost::system::error_code ignored;
    acceptor.close(ignored);
    for (tcp::socket* socket : sockets) socket->close(ignored);
  }

  // The world owns no timer: this one applies what is due, also while nobody asks.
  void Arm() {
    if (closed) return;
    const std::optional<base::BootTime> next = world.NextDue();
    if (next.has_value()) alarm->Set(*next, [this] { world.Settle(); });
  }

  void OnWorld(const std::string& name) {
    if (closed) return;
    if (name.empty()) return Arm();
    if (!options.faults.events || faults.Draw(options.faults.hint_lost)) return;
    json::object event{{"name", name}};
    const auto view = world.ViewByName(name);
    if (view != nullptr && faults.Draw(options.faults.hint_with_view)) {
      event["sandbox"] = SandboxToJson(*view);
    }
    const std::string line = json::serialize(event) + "\n";
    for (Subscriber* subscriber : subscribers) {
      if (subscriber->lines.size() >= kEventsMax) subscriber->lines = {"{\"name\":\"\"}\n"};
      subscriber->lines.push_back(line);
      subscriber->changed.NotifyAll();
    }
  }

  asio::awaitable<void> Accept();
  asio::awaitable<void> Serve(tcp::socket socket);
  // False: the connection is at its end.
  asio::awaitable<bool> Call(tcp::socket& socket, Route route);
  asio::awaitable<bool> Hang(tcp::socket& socket);
  asio::awaitable<bool> Drip(tcp::socket& socket, HttpAnswer answer);
  asio::awaitable<bool> Write(tcp::socket& socket, std::string bytes);
  asio::awaitable<bool> Say(tcp::socket& socket, HttpAnswer answer);
  asio::awaitable<void> StreamEvents(tcp::socket& socket);
  HttpAnswer Administer(const HttpRequest& request);
  HttpAnswer Counts() const;
  HttpAnswer AuditAfter(int64_t after) const;
  void ScheduleEffect(const Route& route, const FaultPlan& plan,
                      std::shared_ptr<std::optional<HttpAnswer>> result);

  const asio::any_io_executor executor;
  base::Clock& clock;
  testing::FakeWorld& world;
  ServerOptions options;
  testing::FaultPlanner faults;
  tcp::acceptor acceptor;
  std::unique_ptr<base::Alarm> alarm;
  int observer = -1;
  bool closed = false;
  std::set<tcp::socket*> sockets;
  std::set<Subscriber*> subscribers;
  std::string script;
  std::map<std::string, int64_t> calls;  // by verb
  std::map<int, int64_t> answers;        // by status
  int64_t connections = 0;
};

asio::awaitable<void> FakeCloudServer::State::Accept() {
  for (;;) {
    tcp::socket socket(executor);
    auto [error] = co_await acceptor.async_accept(socket, kTuple);
    if (error) co_return;
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    ++connections;
    auto serve = [self = shared_from_this(), socket = std::move(socket)]() mutable {
      return self->Serve(std::move(socket));
    };
    asio::co_spawn(executor, std::move(serve), [](std::exception_ptr) {});
  }
}

asio::awaitable<void> FakeCloudServer::State::Serve(tcp::socket socket) {
  sockets.insert(&socket);
  struct Leave {
    ~Leave() { self->sockets.erase(socket); }
    std::shared_ptr<State> self;
    tcp::socket* socket;
  } leave{shared_from_this(), &socket};
  boost::beast::flat_buffer buffer;
  while (!closed) {
    wire::request_parser<wire::string_body> parser;
    parser.body_limit(kBodyBytesMax);
    auto [error, count] = co_await wire::async_read(socket, buffer, parser, kTuple);
    if (error) co_return;
    const auto& message = parser.get();
    HttpRequest request{std::string(message.method_string()), std::string(message.target()),
                        message.body()};
    const bool keep = message.keep_alive();
    bool go_on = false;
    if (request.target.starts_with("/admin/")) {
      go_on = co_await Say(socket, Administer(request));
    } else if (!options.token.empty() &&
               message[wire::field::authorization] != "Bearer " + options.token) {
      go_on = co_await Say(socket, ErrorAnswer(401, "unauthorized", "the token is wrong"));
    } else if (request.target == "/v1/events" && options.faults.events) {
      co_await StreamEvents(socket);
    } else {
      auto route = RouteOf(request, {world, faults, options.faults});
      if (auto* answer = std::get_if<HttpAnswer>(&route)) {
        go_on = co_await Say(socket, std::move(*answer));
      } else {
        go_on = co_await Call(socket, std::get<Route>(std::move(route)));
      }
    }
    if (!go_on || !keep) co_return;
  }
}

void FakeCloudServer::State::ScheduleEffect(const Route& route, const FaultPlan& plan,
                                            std::shared_ptr<std::optional<HttpAnswer>> result) {
  std::optional<std::chrono::nanoseconds> vanishes;
  if (route.verb == Verb::kCreate && faults.Draw(options.faults.vanish)) {
    vanishes = faults.Between(std::chrono::nanoseconds(1), options.faults.vanish_within);
  }
  world.Schedule(plan.effect_at,
                 [this, self = shared_from_this(), route, result, vanishes, at = plan.effect_at] {
                   *result = route.effect();
                   if (!vanishes.has_value() || (*result)->status >= 400) return;
                   const auto made = ParseBoundedJson((*result)->body, kBodyBytesMax);
                   if (!made.ok()) return;
                   const std::string name(made->at("name").as_string().c_str());
                   world.Schedule(at + *vanishes, [this, self, name] { world.Vanish(name); });
                 });
}

asio::awaitable<bool> FakeCloudServer::State::Call(tcp::socket& socket, Route route) {
  ++calls[testing::VerbWord(route.verb)];
  FaultPlan plan = faults.Plan(route.verb);
  auto result = std::make_shared<std::optional<HttpAnswer>>();
  if (plan.effect) ScheduleEffect(route, plan, result);
  if (plan.kind == FaultKind::kHang) co_return co_await Hang(socket);
  if (plan.kind == FaultKind::kDrip) plan.answer_at = plan.effect_at;
  if (plan.answer_at > clock.Boot()) {
    const absl::Status slept = co_await clock.SleepUntil(plan.answer_at);
    if (!slept.ok()) co_return false;
  }
  if (closed) co_return false;
  world.Settle();
  HttpAnswer answer = result->value_or(HttpAnswer{200, "{}"});
  switch (plan.kind) {
    case FaultKind::kAnswer:
      if (plan.error.has_value()) answer = InjectedError(plan);
      break;
    case FaultKind::kReset: {
      boost::system::error_code ignored;
      socket.set_option(asio::socket_base::linger(true, 0), ignored);
      co_return false;
    }
    case FaultKind::kCut: {
      std::string bytes = Head(answer.status, answer, answer.body.size() + 1);
      bytes += answer.body.substr(0, answer.body.size() / 2);
      co_await Write(socket, std::move(bytes));
      co_return false;
    }
    case FaultKind::kDrip:
      co_return co_await Drip(socket, std::move(answer));
    case FaultKind::kHtml:
      answer = {200, "<html><body>Please sign in</body></html>", "text/html"};
      break;
    case FaultKind::kGarbage:
      answer = {200, faults.Draw(0.5) ? "{\"id\": \"a\", " : std::string(kDeepLevels, '[')};
      break;
    case FaultKind::kHuge:
      answer = {200, absl::StrCat("{\"id\": \"", std::string(kHugeBytes, 'x'), "\"}")};
      break;
    case FaultKind::kHang:
      break;  // above
  }
  co_return co_await Say(socket, std::move(answer));
}

// Until the other side has had enough.
asio::awaitable<bool> FakeCloudServer::State::Hang(tcp::socket& socket) {
  (void)co_await socket.async_wait(tcp::socket::wait_read, kTuple);
  co_return false;
}

asio::awaitable<bool> FakeCloudServer::State::Drip(tcp::socket& socket, HttpAnswer answer) {
  const std::string bytes = Whole(answer);
  for (const char byte : bytes) {
    const bool written = co_await Write(socket, std::string(1, byte));
    if (!written) co_return false;
    const absl::Status slept = co_await clock.SleepUntil(clock.Boot() + kDripInterval);
    if (!slept.ok() || closed) co_return false;
  }
  co_return true;
}

asio::awaitable<bool> FakeCloudServer::State::Write(tcp::socket& socket, std::string bytes) {
  auto [error, count] = co_await asio::async_write(socket, asio::buffer(bytes), kTuple);
  co_return !error;
}

asio::awaitable<bool> FakeCloudServer::State::Say(tcp::socket& socket, HttpAnswer answer) {
  ++answers[answer.status];
  co_return co_await Write(socket, Whole(answer));
}

asio::awaitable<void> FakeCloudServer::State::StreamEvents(tcp::socket& socket) {
  Subscriber subscriber(clock);
  subscribers.insert(&subscriber);
  struct Leave {
    ~Leave() { subscribers.erase(subscriber); }
    std::set<Subscriber*>& subscribers;
    Subscriber* subscriber;
  } leave{subscribers, &subscriber};
  bool open = co_await Write(socket,
                             "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n");
  while (open && !closed) {
    if (subscriber.lines.empty()) {
      (void)co_await subscriber.changed.Wait(clock.Boot() + kHeartbeat);
    }
    std::string lines = subscriber.lines.empty() ? "\n" : "";
    for (const std::string& line : std::exchange(subscriber.lines, {})) lines += line;
    open = co_await Write(socket, Chunk(lines));
  }
}

HttpAnswer FakeCloudServer::State::AuditAfter(int64_t after) const {
  json::array entries;
  for (size_t i = static_cast<size_t>(std::max<int64_t>(after, 0)); i < world.audit().size(); ++i) {
    entries.emplace_back(AuditToJson(world.audit()[i]));
  }
  return {200, json::serialize(entries)};
}

HttpAnswer FakeCloudServer::State::Counts() const {
  json::object by_verb;
  for (const auto& [verb, count] : calls) by_verb[verb] = count;
  json::object by_status;
  for (const auto& [status, count] : answers) by_status[absl::StrCat(status)] = count;
  const json::object body{{"calls", std::move(by_verb)},
                          {"answers", std::move(by_status)},
                          {"connections", connections},
                          {"open_connections", sockets.size()},
                          {"audit_entries", world.audit().size()}};
  return {200, json::serialize(body)};
}

HttpAnswer FakeCloudServer::State::Administer(const HttpRequest& request) {
  world.Settle();
  const auto target = ParseTarget(request.target);
  if (!target.has_value() || target->path.size() != 2) {
    return ErrorAnswer(404, "no_route", "no such path");
  }
  const std::string& what = target->path[1];
  if (what == "script" && request.method == "GET") return {200, script, "text/yaml"};
  if (what == "script" && request.method == "PUT") {
    const absl::Status applied =
        testing::ApplyFaultScript(request.body, options.faults, world.options());
    if (!applied.ok()) return ErrorAnswer(400, "bad_script", std::string(applied.message()));
    script = request.body;
    return {204};
  }
  if (what == "audit" && request.method == "GET") {
    int64_t after = 0;
    const auto found = target->query.find("after");
    if (found != target->query.end()) (void)absl::SimpleAtoi(found->second, &after);
    return AuditAfter(after);
  }
  if (what == "counts" && request.method == "GET") return Counts();
  const auto body = ParseBoundedJson(request.body, kBodyBytesMax);
  const auto sandbox =
      body.ok() ? CreateFromJson(*body) : absl::StatusOr<pb::CreateRequest>(body.status());
  if (!sandbox.ok())
    return ErrorAnswer(400, "bad_request", std::string(sandbox.status().message()));
  if (what == "vanish" && request.method == "POST") {
    const bool there = world.Vanish(sandbox->name());
    return there ? HttpAnswer{204} : ErrorAnswer(404, "sandbox_not_found", "no such sandbox");
  }
  if (what == "foreign" && request.method == "POST") {
    world.AddForeign(sandbox->name(), {sandbox->labels().begin(), sandbox->labels().end()});
    return {204};
  }
  return ErrorAnswer(404, "no_route", "no such path");
}

absl::StatusOr<std::unique_ptr<FakeCloudServer>> FakeCloudServer::Create(Deps deps,
                                                                         ServerOptions options) {
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), options.port);
  auto state = std::make_shared<State>(deps, std::move(options));
  boost::system::error_code error;
  state->acceptor.open(endpoint.protocol(), error);
  if (!error) state->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) state->acceptor.bind(endpoint, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return absl::UnavailableError("listen: " + error.message());
  state->Start();
  return std::unique_ptr<FakeCloudServer>(new FakeCloudServer(std::move(state)));
}

FakeCloudServer::~FakeCloudServer() { state_->Stop(); }

uint16_t FakeCloudServer::port() const { return state_->acceptor.local_endpoint().port(); }

std::string FakeCloudServer::url() const { return absl::StrCat("http://127.0.0.1:", port()); }

absl::Status FakeCloudServer::SetScript(const std::string& text) {
  absl::Status applied =
      testing::ApplyFaultScript(text, state_->options.faults, state_->world.options());
  if (applied.ok()) state_->script = text;
  return applied;
}

}  // namespace boxkeeper::providers::fakecloud
