#include "providers/fakecloud/fakecloud_provider.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/http/client.h"
#include "base/percent.h"
#include "base/status_macros.h"
#include "base/task_group.h"
#include "providers/fakecloud/event_stream.h"
#include "providers/fakecloud/wire.h"
#include "providers/runtime/api_client.h"
#include "providers/runtime/managed_provider.h"
#include "providers/spec_fields.h"

namespace boxkeeper::providers::fakecloud {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;
using base::BootTime;

namespace {

constexpr int kPageSize = 100;
constexpr int64_t kOutputBytesMax = 1024 * 1024;
// Ours, whosever deployment: a filter that every row of the core's passes.
constexpr char kListTarget[] = "/v1/sandboxes?label=boxkeeper.deployment&limit=100&cursor=";

void SetMillis(std::chrono::milliseconds time, google::protobuf::Duration* out) {
  out->set_seconds(time.count() / 1000);
  out->set_nanos(static_cast<int32_t>(time.count() % 1000) * 1'000'000);
}

pb::Capabilities Declare(const FakeCloudOptions& options) {
  pb::Capabilities capabilities;
  capabilities.set_launch(options.one_step ? pb::Capabilities::ONE_STEP
                                           : pb::Capabilities::TWO_STEP);
  capabilities.set_start_idempotent(!options.one_step);
  capabilities.set_name_unique_incl_ended(options.name_unique_incl_ended);
  SetMillis(options.list_lag, capabilities.mutable_list_lag());
  SetMillis(options.create_settle, capabilities.mutable_create_settle());
  capabilities.set_list_shows_end(true);
  capabilities.set_live_output(true);
  capabilities.set_output_replay(true);
  capabilities.set_kill(true);
  capabilities.set_labels(true);
  capabilities.set_native_exit_code(true);
  capabilities.set_events(options.events);
  capabilities.set_page_size(kPageSize);
  for (const char* key : {"cpu", "image", "memory_mb"}) capabilities.add_spec_keys(key);
  return capabilities;
}

// What an error's body says beyond its status.
void Refine(int status, const json::value& body, pb::ProviderError& error) {
  const std::string code = ErrorCodeOf(body);
  if (code == kCodeCapacity) {
    error.set_error_class(pb::CAPACITY);
    error.set_proves_no_effect(true);
  } else if (code == kCodeQuota) {
    error.set_error_class(pb::QUOTA);
    error.clear_retry_after();
  } else if (error.error_class() == pb::NOT_FOUND && code != kCodeNotFound &&
             code != kCodeNoExecution) {
    // Not this API's own word: of a proxy, or of a path that does not exist.
    error.set_error_class(pb::PROTOCOL);
    error.set_proves_no_effect(false);
  }
}

bool SaysAbsent(const absl::Status& status) {
  return !status.ok() && ErrorOf(status).error_class() == pb::NOT_FOUND;
}

absl::Status Protocol(const std::string& what) {
  return MakeError(MakeProviderError(pb::PROTOCOL, what, false));
}

std::string SandboxTarget(const std::string& handle, const char* action = "") {
  return absl::StrCat("/v1/sandboxes/", base::PercentEncode(handle), action);
}

}  // namespace

struct FakeCloudProvider::State : std::enable_shared_from_this<FakeCloudProvider::State> {
  State(Deps deps, std::string a_name, const FakeCloudOptions& options)
      : executor(deps.executor),
        clock(deps.clock),
        rng(std::move(deps.rng)),
        name(std::move(a_name)),
        capabilities(Declare(options)),
        background(clock, executor) {}

  // One call whose answer `read` makes sense of.
  template <typename T>
  static asio::awaitable<absl::StatusOr<T>> Ask(
      std::shared_ptr<State> state, ApiRequest request,
      absl::StatusOr<T> (*read)(const json::value& body)) {
    auto body = co_await state->api->Call(std::move(request));
    CO_RETURN_IF_ERROR(body.status());
    absl::StatusOr<T> answer = read(*body);
    if (!answer.ok()) co_return Protocol(std::string(answer.status().message()));
    co_return answer;
  }

  static asio::awaitable<pb::CreateOutcome> CreateOne(std::shared_ptr<State> state,
                                                      pb::CreateRequest request,
                                                      BootTime deadline) {
    json::object body{{"name", request.name()}};
    json::object labels;
    for (const auto& [key, value] : request.labels()) labels[key] = value;
    body["labels"] = std::move(labels);
    if (request.has_launch()) body["launch"] = LaunchToJson(request.launch());
    ApiRequest call{.method = "POST", .target = "/v1/sandboxes", .deadline = deadline};
    call.body = std::move(body);
    auto answer = co_await state->api->Call(std::move(call));
    pb::CreateOutcome outcome;
    if (!answer.ok()) {
      *outcome.mutable_error() = ErrorOf(answer.status());
      co_return outcome;
    }
    const auto made = SandboxFromJson(*answer);
    if (!made.ok() || made->name() != request.name()) {
      *outcome.mutable_error() = ErrorOf(Protocol(
          made.ok() ? "the answer is about another name" : std::string(made.status().message())));
      co_return outcome;
    }
    outcome.set_handle(made->handle());
    const json::value* existed = answer->as_object().if_contains("existed");
    outcome.set_adopted(existed != nullptr && existed->is_bool() && existed->as_bool());
    co_return outcome;
  }

  static pb::SandboxView Absent() {
    pb::SandboxView view;
    view.set_state(pb::SandboxView::ABSENT);
    return view;
  }

  const asio::any_io_executor executor;
  base::Clock& clock;
  const std::shared_ptr<base::Rng> rng;
  const std::string name;
  const std::string type = "fakecloud";
  const pb::Capabilities capabilities;
  std::unique_ptr<ApiClient> api;
  std::shared_ptr<http::Client> events;  // null: not declared
  std::function<void(ProviderHint)> hint;
  bool listening = false;
  base::TaskGroup background;
};

absl::StatusOr<std::shared_ptr<FakeCloudProvider>> FakeCloudProvider::Create(
    Deps deps, const std::string& name, const FakeCloudOptions& options) {
  ASSIGN_OR_RETURN(http::ClientOptions client, MakeClientOptions(options.remote));
  auto state = std::make_shared<State>(std::move(deps), name, options);
  const http::Client::Deps http_deps{state->clock, state->executor};
  ASSIGN_OR_RETURN(auto for_calls, http::Client::Create(http_deps, client));
  state->api = std::make_unique<ApiClient>(state->clock, std::move(for_calls), &Refine);
  if (options.events) {
    client.timeouts.idle = kEventSilenceMax;
    client.timeouts.headers = kEventSilenceMax;
    ASSIGN_OR_RETURN(state->events, http::Client::Create(http_deps, client));
  }
  return std::shared_ptr<FakeCloudProvider>(new FakeCloudProvider(std::move(state)));
}

FakeCloudProvider::~FakeCloudProvider() {
  state_->hint = nullptr;
  // Only a handler of the loop may cancel what runs there.
  asio::post(state_->executor, [state = state_] { state->background.Cancel(); });
}

const std::string& FakeCloudProvider::name() const { return state_->name; }
const std::string& FakeCloudProvider::type() const { return state_->type; }
const pb::Capabilities& FakeCloudProvider::capabilities() const { return state_->capabilities; }

std::vector<FieldViolation> FakeCloudProvider::Validate(const v1::SandboxSpec& spec) const {
  return UnhonouredKeys(spec, state_->capabilities);
}

asio::awaitable<absl::Status> FakeCloudProvider::Open(BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  if (state->events != nullptr && !std::exchange(state->listening, true)) {
    // Holds no State: it would hold itself.
    EventStream stream{state->clock, state->rng, state->events,
                       [weak = std::weak_ptr<State>(state)](ProviderHint hint) {
                         const auto alive = weak.lock();
                         if (alive != nullptr && alive->hint) alive->hint(std::move(hint));
                       }};
    state->background.Spawn("events", [stream] { return FollowEvents(stream); });
  }
  ApiRequest request{.target = kListTarget, .deadline = deadline};
  auto page = co_await State::Ask<pb::ListPage>(state, std::move(request), &ListFromJson);
  co_return page.status();
}

asio::awaitable<void> FakeCloudProvider::Create(
    std::vector<pb::CreateRequest> requests, BootTime deadline,
    std::function<void(size_t, pb::CreateOutcome)> done) {
  const std::shared_ptr<State> state = state_;
  for (size_t i = 0; i < requests.size(); ++i) {
    pb::CreateOutcome outcome = co_await State::CreateOne(state, std::move(requests[i]), deadline);
    done(i, std::move(outcome));
  }
}

asio::awaitable<pb::StartOutcome> FakeCloudProvider::Start(std::string handle,
                                                           pb::LaunchRequest launch,
                                                           BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  pb::StartOutcome outcome;
  if (state->capabilities.launch() == pb::Capabilities::ONE_STEP) {
    *outcome.mutable_error() =
        MakeProviderError(pb::INVALID, "Start is not declared: one-step launch", true);
    co_return outcome;
  }
  ApiRequest call{
      .method = "POST", .target = SandboxTarget(handle, "/start"), .deadline = deadline};
  call.body = LaunchToJson(launch);
  auto answer = co_await State::Ask<pb::StartOutcome>(state, std::move(call), &StartFromJson);
  if (answer.ok()) co_return *std::move(answer);
  *outcome.mutable_error() = ErrorOf(answer.status());
  co_return outcome;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> FakeCloudProvider::Find(std::string name,
                                                                         BootTime deadline) {
  ApiRequest call{.target = "/v1/sandboxes/by-name/" + base::PercentEncode(name),
                  .deadline = deadline};
  auto view = co_await State::Ask<pb::SandboxView>(state_, std::move(call), &SandboxFromJson);
  if (!SaysAbsent(view.status())) co_return view;
  pb::SandboxView absent = State::Absent();
  absent.set_name(name);
  co_return absent;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> FakeCloudProvider::Inspect(std::string handle,
                                                                            BootTime deadline) {
  ApiRequest call{.target = SandboxTarget(handle), .deadline = deadline};
  auto view = co_await State::Ask<pb::SandboxView>(state_, std::move(call), &SandboxFromJson);
  if (!SaysAbsent(view.status())) co_return view;
  pb::SandboxView absent = State::Absent();
  absent.set_handle(handle);
  co_return absent;
}

asio::awaitable<absl::StatusOr<pb::ListPage>> FakeCloudProvider::List(std::string cursor,
                                                                      BootTime deadline) {
  ApiRequest call{.target = kListTarget + base::PercentEncode(cursor), .deadline = deadline};
  return State::Ask<pb::ListPage>(state_, std::move(call), &ListFromJson);
}

asio::awaitable<absl::StatusOr<pb::OutputChunk>> FakeCloudProvider::ReadOutput(
    std::string handle, std::string exec_id, std::string stream, int64_t offset, int64_t max_bytes,
    BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  const int64_t limit = std::clamp<int64_t>(max_bytes, 0, kOutputBytesMax);
  ApiRequest call{.target = absl::StrCat(SandboxTarget(handle, "/output?exec_id="),
                                         base::PercentEncode(exec_id), "&stream=", stream,
                                         "&offset=", offset, "&limit=", limit),
                  .deadline = deadline,
                  .reply_bytes_max = static_cast<size_t>(limit)};
  auto reply = co_await state->api->CallForBytes(std::move(call));
  CO_RETURN_IF_ERROR(reply.status());
  const std::string* end = reply->headers.Find("X-Output-End");
  if (end == nullptr) co_return Protocol("output without X-Output-End");
  pb::OutputChunk chunk;
  chunk.set_offset(offset);
  chunk.set_data(std::move(reply->body));
  chunk.set_end(*end == "true");
  co_return chunk;
}

asio::awaitable<absl::Status> FakeCloudProvider::Signal(std::string handle, SignalRequest request,
                                                        BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  ApiRequest call{
      .method = "POST", .target = SandboxTarget(handle, "/signal"), .deadline = deadline};
  call.body = json::object{{"force", request.force}, {"grace_ms", request.grace.count()}};
  auto answer = co_await state->api->Call(std::move(call));
  co_return SaysAbsent(answer.status()) ? absl::OkStatus() : answer.status();
}

asio::awaitable<absl::Status> FakeCloudProvider::Destroy(std::string handle, BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  ApiRequest call{.method = "DELETE", .target = SandboxTarget(handle), .deadline = deadline};
  auto answer = co_await state->api->Call(std::move(call));
  // A page with status 200 would be a success that nobody attested.
  if (answer.ok() && !answer->is_null()) co_return Protocol("an answer where none was due");
  co_return SaysAbsent(answer.status()) ? absl::OkStatus() : answer.status();
}

asio::awaitable<absl::Status> FakeCloudProvider::Fence(std::string handle, BootTime deadline) {
  const std::shared_ptr<State> state = state_;
  ApiRequest call{
      .method = "POST", .target = SandboxTarget(handle, "/fence"), .deadline = deadline};
  auto answer = co_await state->api->Call(std::move(call));
  if (SaysAbsent(answer.status())) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(answer.status());
  const json::object* body = answer->if_object();
  const json::value* fenced = body == nullptr ? nullptr : body->if_contains("fenced");
  if (fenced == nullptr || !fenced->is_bool()) co_return Protocol("no 'fenced' in the answer");
  if (fenced->as_bool()) co_return absl::OkStatus();
  co_return absl::FailedPreconditionError("the command was killed and has not ended yet");
}

void FakeCloudProvider::OnHint(std::function<void(ProviderHint)> receiver) {
  state_->hint = std::move(receiver);
}

absl::StatusOr<std::shared_ptr<Provider>> MakeFakeCloudProvider(FakeCloudProvider::Deps deps,
                                                                const std::string& name,
                                                                const FakeCloudOptions& options,
                                                                const CallRunnerOptions& runner) {
  ASSIGN_OR_RETURN(std::shared_ptr<Provider> inner, FakeCloudProvider::Create(deps, name, options));
  return std::make_shared<ManagedProvider>(
      ManagedProvider::Deps{deps.executor, deps.clock, deps.rng}, std::move(inner), runner);
}

}  // namespace boxkeeper::providers::fakecloud
