// What a provider's API answers, by the first byte: a sandbox, a page of a list, a start, an error
// with its Retry-After, a line of the event stream. Bounded in bytes and depth; a state word that
// nobody knows is no end, and an exit is attested or there is none (I11).
#include <boost/json/value.hpp>
#include <string>

#include "absl/time/time.h"
#include "base/utf8.h"
#include "providers/fakecloud/event_stream.h"
#include "providers/fakecloud/wire.h"
#include "providers/runtime/api_client.h"
#include "providers/runtime/http_errors.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using namespace providers;
namespace json = boost::json;

constexpr size_t kBytesMax = 8192;
constexpr size_t kDepthMax = 32;

size_t DepthOf(const json::value& value) {
  size_t below = 0;
  if (const json::array* array = value.if_array()) {
    for (const json::value& item : *array) below = std::max(below, DepthOf(item));
  } else if (const json::object* object = value.if_object()) {
    for (const auto& [key, item] : *object) below = std::max(below, DepthOf(item));
  } else {
    return 0;
  }
  return below + 1;
}

template <typename Message>
void RequireStorable(const Message& message) {
  Message again;
  Require(again.ParseFromString(message.SerializeAsString()), "what was read can be stored",
          message.ShortDebugString());
}

void CheckExit(const pb::ExitRecord& exit) {
  Require(!(exit.has_exit_code() && exit.has_signal()), "an exit code or a signal, never both");
  Require(exit.stdout_bytes() >= 0 && exit.stderr_bytes() >= 0, "sizes are not negative");
}

// `json` is where the view came from; null: it is one of many.
void CheckView(const pb::SandboxView& view, const json::value* json) {
  Require(!view.handle().empty() && view.handle().size() <= 4096, "a handle of at most 4 KiB");
  Require(!view.name().empty(), "a sandbox has a name");
  Require(view.state() == pb::SandboxView::ENDED || !view.has_exit(),
          "only what ended has an exit");
  if (view.has_exit()) CheckExit(view.exit());
  RequireStorable(view);
  if (json == nullptr) return;
  const json::object& object = json->as_object();
  const json::value* word = object.if_contains("state");
  const bool ended = word != nullptr && word->is_string() && word->as_string() == "ended";
  Require(ended == (view.state() == pb::SandboxView::ENDED), "only the word of an end is an end");
  if (view.has_exit() && view.exit().has_exit_code()) {
    const json::object* exit = object.at("exit").if_object();
    Require(exit != nullptr && exit->contains("exit_code"), "only an exit code is an exit code");
  }
}

void CheckList(const json::value& value) {
  const auto page = fakecloud::ListFromJson(value);
  if (!page.ok()) return;
  for (const pb::SandboxView& view : page->sandboxes()) CheckView(view, nullptr);
  RequireStorable(*page);
}

void CheckStart(const json::value& value) {
  const auto outcome = fakecloud::StartFromJson(value);
  if (!outcome.ok()) return;
  RequireStorable(*outcome);
}

void CheckError(const json::value& value, uint16_t status, const std::string& retry_after) {
  const std::string words = WordsOf(value);
  Require(base::IsUtf8(words), "a provider's words are text", words);
  const pb::ProviderError error = ErrorOfHttp(400 + status % 200, {{"Retry-After", retry_after}},
                                              words, absl::FromUnixSeconds(1'767'225'600));
  Require(error.retry_after().seconds() >= 0 && error.retry_after().nanos() >= 0 &&
              error.retry_after().seconds() <= 86400,
          "a wait of at most a day", retry_after);
  Require(base::IsUtf8(fakecloud::ErrorCodeOf(value)), "a code is text");
  RequireStorable(error);
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  const uint8_t kind = input.Byte() % 5;
  const uint16_t status = kind == 3 ? input.Number<uint16_t>() : 0;
  const std::string retry_after = kind == 3 ? input.Text() : "";
  const std::string_view text = input.Rest();
  if (kind == 4) {
    (void)providers::fakecloud::HintOfLine(text);
    return 0;
  }
  const auto parsed = providers::ParseBoundedJson(text, kBytesMax, kDepthMax);
  if (!parsed.ok()) {
    Require(absl::IsInvalidArgument(parsed.status()), "what is no JSON is an invalid argument");
    return 0;
  }
  Require(text.size() <= kBytesMax && DepthOf(*parsed) <= kDepthMax, "JSON is bounded");
  if (kind == 0) {
    const auto view = providers::fakecloud::SandboxFromJson(*parsed);
    if (view.ok()) CheckView(*view, &*parsed);
  } else if (kind == 1) {
    CheckList(*parsed);
  } else if (kind == 2) {
    CheckStart(*parsed);
  } else {
    CheckError(*parsed, status, retry_after);
  }
  return 0;
}
