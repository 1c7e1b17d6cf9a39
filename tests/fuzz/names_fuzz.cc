// Names and labels that a provider shows, and the texts that people and records give: the first
// byte says which. Nothing but what the deployment made itself verifies as its own (I6); what is
// read is written back the same.
#include <map>
#include <memory>
#include <string>

#include "base/duration_text.h"
#include "base/http/base_url.h"
#include "base/id128.h"
#include "base/identity/deployment.h"
#include "base/identity/key_file.h"
#include "base/percent.h"
#include "base/rng.h"
#include "base/task_key.h"
#include "base/testing/faulty_file_system.h"
#include "base/utf8.h"
#include "google/protobuf/util/message_differencer.h"
#include "logs/log_path.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using base::Deployment;
using base::SandboxId;
using base::Verified;

const char* const kLabels[] = {base::kLabelDeployment, base::kLabelSandbox, base::kLabelShard,
                               base::kLabelEpoch,      base::kLabelMac,     base::kLabelKid};
constexpr char kProvider[] = "cloud";

const Deployment& TheDeployment() {
  static const Deployment* deployment = [] {
    base::FaultyFileSystem files;
    const auto rng = base::MakeSeededRng(7);
    auto made = Deployment::LoadOrCreate(files, *rng, {.state_dir = "/s", .id = "fuzzed"});
    Require(made.ok(), "a deployment", made.status().ToString());
    return made->release();
  }();
  return *deployment;
}

// Overwrites, inserts or cuts as the input says.
std::string Mutated(std::string text, Input& input) {
  for (uint8_t step = input.Byte() % 4; step > 0 && !text.empty(); --step) {
    const uint8_t how = input.Byte();
    const size_t at = input.Byte() % text.size();
    if (how % 3 == 0) {
      text[at] = static_cast<char>(input.Byte());
    } else if (how % 3 == 1) {
      text.resize(at);
    } else {
      text.insert(at, input.Text());
    }
  }
  return text;
}

void CheckNames(Input& input) {
  const Deployment& deployment = TheDeployment();
  SandboxId sandbox;
  sandbox.id.bytes[0] = input.Byte();
  const std::string name = deployment.Name(sandbox);
  Require(deployment.VerifyName(name).kind == Verified::kOurs, "our own name verifies");
  const std::string shown = Mutated(name, input);
  const Verified verified = deployment.VerifyName(shown);
  if (verified.kind == Verified::kOurs) {
    Require(shown == deployment.Name(verified.sandbox), "only what we made verifies", shown);
  }
  (void)deployment.VerifyName(input.Rest());
}

void CheckLabels(Input& input) {
  const Deployment& deployment = TheDeployment();
  SandboxId sandbox;
  sandbox.id.bytes[3] = input.Byte();
  const int64_t epoch = input.Number<uint16_t>();
  const std::map<std::string, std::string> made =
      deployment.Labels(sandbox, kProvider, input.Byte() % 64, epoch);
  Require(deployment.Verify(made, kProvider).kind == Verified::kOurs, "our own labels verify");
  auto shown = made;
  while (!input.empty()) {
    const char* label = kLabels[input.Byte() % std::size(kLabels)];
    if (shown.contains(label)) shown[label] = Mutated(shown[label], input);
    if (input.Byte() == 0xff) shown.erase(label);
  }
  const Verified verified = deployment.Verify(shown, kProvider);
  Require(verified.kind != Verified::kOurs || shown == made, "only what we made verifies");
  Require(deployment.Verify(shown, "other").kind != Verified::kOurs,
          "labels that were copied to another provider do not verify");
}

void CheckKey(const std::string& text) {
  const auto key = base::ParseKey(text);
  if (key.ok()) {
    const std::string normal = base::KeyString(*key);
    const auto again = base::ParseKey(normal);
    Require(again.ok() && google::protobuf::util::MessageDifferencer::Equals(*again, *key),
            "a key's text is stable", normal);
    const std::string path = base::KeyPath(*key);
    Require(logs::ValidateLogPath(path).ok(), "a key's path is a path", path);
    const std::string own = logs::DefaultLogPath(*key, base::TaskId{});
    Require(logs::ValidateLogPath(own).ok() || own.size() > 1024, "a log's path is a path", own);
  }
  v1::TaskKey raw;
  raw.set_name(text);
  raw.set_group(text);
  const auto parsed = base::ParseKey(base::KeyString(raw));
  const bool plain = base::IsUtf8(text) && text.find('\0') == std::string::npos;
  Require(!plain || (parsed.ok() && parsed->name() == text), "any name has a text", text);
}

void CheckText(const std::string& text) {
  const auto decoded = base::PercentDecode(base::PercentEncode(text));
  Require(decoded == text, "percent-encoding can be undone");
  (void)base::PercentDecode(text);
  const auto bytes = base::Base32Decode(base::Base32(text));
  Require(bytes == text, "base32 can be undone");
  if (const auto raw = base::Base32Decode(text)) {
    Require(base::Base32(*raw) == text, "base32 has one text for each value");
  }
  if (const auto id = base::Id128::Parse(text))
    Require(id->ToString() == text, "one text for an id");
  if (const auto id = base::Id128::ParseUuid(text)) {
    Require(base::Id128::ParseUuid(id->ToUuid()) == id, "a UUID is stable");
  }
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = base::Utf8Length(std::string_view(text).substr(at));
    Require(length <= 4, "a character has at most 4 bytes");
    at += std::max<size_t>(length, 1);
  }
  (void)logs::ValidateLogPath(text);
  (void)logs::ParseFileUrl(text);
}

void CheckDuration(const std::string& text) {
  const auto duration = base::DurationFromText(text);
  if (!duration.ok()) return;
  const auto again = base::DurationFromText(base::DurationToText(*duration));
  Require(again.ok() && *duration - *again < absl::Microseconds(1) && *again <= *duration,
          "a duration's text is the duration", text);
}

void CheckKeys(const std::string& text) {
  const auto keys = base::ParseKeys(text, "/keys");
  if (!keys.ok()) {
    Require(absl::IsInvalidArgument(keys.status()) && keys.status().message().size() < 200,
            "a mistake in a key file shows nothing of it");
    return;
  }
  Require(!keys->empty(), "a key file has a key");
  for (const base::Key& key : *keys) {
    Require(key.bytes.view().size() == 32 && key.kid.size() <= 32, "keys are whole");
  }
}

void CheckUrl(Input& input) {
  const std::string text = input.Text();
  const auto url = base::http::ParseBaseUrl(text);
  if (!url.ok()) return;
  if (url->origin.scheme != base::http::Scheme::kUnix) {
    const auto again = base::http::ParseBaseUrl(url->origin.ToString() + url->path);
    Require(again.ok() && again->origin == url->origin && again->path == url->path,
            "an address is stable", text);
  }
  const std::string location = input.Text();
  const auto target = base::http::ResolveRedirect(url->origin, "/a/b?c", location);
  if (!target.ok()) return;
  Require(target->starts_with('/'), "a redirect leads to a path", location);
  const bool plain =
      std::all_of(target->begin(), target->end(), [](char c) { return c > ' ' && c < 0x7f; });
  Require(plain, "a redirect's target fits a request line", location);
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  switch (input.Byte() % 7) {
    case 0:
      CheckNames(input);
      break;
    case 1:
      CheckLabels(input);
      break;
    case 2:
      CheckKey(std::string(input.Rest()));
      break;
    case 3:
      CheckText(std::string(input.Rest()));
      break;
    case 4:
      CheckDuration(std::string(input.Rest()));
      break;
    case 5:
      CheckKeys(std::string(input.Rest()));
      break;
    default:
      CheckUrl(input);
      break;
  }
  return 0;
}
