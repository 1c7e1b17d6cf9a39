#include "providers/fakecloud/event_stream.h"

#include <string>
#include <utility>

#include "base/backoff.h"
#include "providers/fakecloud/wire.h"
#include "providers/runtime/api_client.h"

namespace boxkeeper::providers::fakecloud {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;

namespace {

constexpr size_t kLineBytesMax = 64 * 1024;
constexpr base::BackoffOptions kReconnect{std::chrono::milliseconds(200), std::chrono::seconds(10)};

// Until the stream ends or has a line that is too long. True if anything came.
asio::awaitable<bool> ReadLines(const EventStream& stream, http::ResponseBody& body) {
  std::string text;
  bool any = false;
  for (;;) {
    auto piece = co_await body.Read();
    if (!piece.ok() || piece->empty()) co_return any;
    any = true;
    text += *piece;
    size_t begin = 0;
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
      auto hint = HintOfLine(std::string_view(text).substr(begin, end - begin));
      if (hint.has_value()) stream.hint(*std::move(hint));
      begin = end + 1;
    }
    text.erase(0, begin);
    if (text.size() > kLineBytesMax) co_return any;
  }
}

}  // namespace

std::optional<ProviderHint> HintOfLine(std::string_view line) {
  if (line.empty()) return std::nullopt;
  const auto event = ParseBoundedJson(line, kLineBytesMax);
  if (!event.ok() || !event->is_object()) return std::nullopt;
  const json::value* name = event->as_object().if_contains("name");
  if (name == nullptr || !name->is_string()) return std::nullopt;
  ProviderHint hint;
  hint.sandbox_name = std::string(name->as_string().data(), name->as_string().size());
  const json::value* sandbox = event->as_object().if_contains("sandbox");
  if (sandbox == nullptr) return hint;
  auto view = SandboxFromJson(*sandbox);
  if (view.ok() && view->name() == hint.sandbox_name) {
    hint.view = std::make_shared<const pb::SandboxView>(*std::move(view));
  }
  return hint;
}

asio::awaitable<void> FollowEvents(EventStream stream) {
  base::Backoff backoff(kReconnect, *stream.rng);
  for (;;) {
    http::Request request;
    request.target = "/v1/events";
    auto response = co_await stream.client->Send(std::move(request));
    if (response.ok() && response->status == 200) {
      stream.hint({});  // whatever happened while nobody listened
      const bool any = co_await ReadLines(stream, *response->body);
      if (any) backoff.Reset();
    }
    const absl::Status slept =
        co_await stream.clock.SleepUntil(stream.clock.Boot() + backoff.Next());
    if (!slept.ok()) co_return;
  }
}

}  // namespace boxkeeper::providers::fakecloud
