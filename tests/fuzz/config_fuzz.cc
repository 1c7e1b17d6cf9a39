// A configuration file of any content: read in bounded time and memory; one line a mistake, each
// with its place; what is accepted can be written down and read back equal.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <string>

#include "config/load_config.h"
#include "providers/local/options.h"
#include "tests/fuzz/config_text.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

// All mistakes of one file, and as text: a file of at most a MiB must not become much more.
constexpr size_t kMistakesMax = 4000;
constexpr size_t kMessagesBytesMax = 4 << 20;

std::vector<config::Problem> ValidateLocal(const std::string&, const std::string&,
                                           const google::protobuf::Struct& options) {
  std::vector<config::Problem> problems;
  for (const auto& violation : providers::local::ValidateLocalConfig(options)) {
    problems.push_back({.key = violation.field, .message = violation.description});
  }
  return problems;
}

const config::LoadOptions& Options() {
  static const auto* options =
      new config::LoadOptions{.providers = {{"local", ValidateLocal}, {"other", nullptr}},
                              .getenv = [](const char* name) -> const char* {
                                return std::string_view(name) == "HOME" ? "/home/someone" : nullptr;
                              },
                              .check_files = false};
  return *options;
}

void CheckMistakes(const config::LoadResult& loaded) {
  Require(loaded.problems.size() <= kMistakesMax, "the list of mistakes is bounded");
  size_t bytes = 0;
  for (const config::Problem& problem : loaded.problems) {
    Require(problem.line >= 1, "a mistake has a line", problem.key + ": " + problem.message);
    Require(!problem.message.empty(), "a mistake says what is wrong", problem.key);
  }
  for (const std::string& message : loaded.Messages()) {
    bytes += message.size();
    const bool plain = std::all_of(message.begin(), message.end(),
                                   [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
    Require(plain, "a mistake is one line without control characters", message);
  }
  Require(bytes <= kMessagesBytesMax, "mistakes take no more room than a person could read");
}

void CheckReload(const config::v1::Config& config) {
  const config::ReloadDiff same = config::DiffForReload(config, config);
  Require(same.changed.empty() && same.needs_restart.empty(),
          "a configuration does not differ from itself");
  const config::v1::Config defaults = config::EmbeddedDefaults(Options()).config;
  const config::v1::Config applied = config::ApplyReload(defaults, config);
  const config::ReloadDiff rest = config::DiffForReload(applied, config);
  Require(rest.changed.empty(), "a reload takes over all that needs no restart");
  const config::ReloadDiff back = config::DiffForReload(defaults, applied);
  Require(back.needs_restart.empty(), "a reload changes nothing that needs a restart");
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  using google::protobuf::util::MessageDifferencer;
  const std::string text(fuzz::View(data, size));
  const config::LoadResult loaded = config::LoadConfigText(text, "f.yaml", fuzz::Options());
  fuzz::CheckMistakes(loaded);
  if (!loaded.ok()) return 0;
  const std::string written = fuzz::ConfigText(loaded.config);
  const config::LoadResult again = config::LoadConfigText(written, "w.yaml", fuzz::Options());
  fuzz::Require(again.ok(), "what was accepted is accepted again",
                again.ok() ? "" : again.Messages().front() + "\n" + written);
  fuzz::Require(MessageDifferencer::Equals(again.config, loaded.config),
                "what was accepted reads back equal", written);
  fuzz::CheckReload(loaded.config);
  return 0;
}
